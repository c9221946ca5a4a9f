"""Values of parameters and forms, from the texts that a request contains."""
