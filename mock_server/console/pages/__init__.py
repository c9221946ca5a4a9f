"""The pages of the console by topic. A function builds one page, or carries out what one of its forms sends."""
