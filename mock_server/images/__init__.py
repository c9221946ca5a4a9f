"""Dataset images: a complete store as bytes, built once by a child process and cached between starts."""

from mock_server.images.builder import DatasetParameters, ImageError, build_image, build_image_file
from mock_server.images.cache import (
    MAX_CACHED_IMAGES,
    compute_image_key,
    find_cache_folder,
    get_or_build_image,
    list_source_files,
)
from mock_server.images.opener import (
    create_sandbox,
    find_newest_after_epoch,
    get_epoch,
    open_clock,
    open_store,
    parse_store_url,
)

__all__ = [
    "MAX_CACHED_IMAGES",
    "DatasetParameters",
    "ImageError",
    "build_image",
    "build_image_file",
    "compute_image_key",
    "create_sandbox",
    "find_cache_folder",
    "find_newest_after_epoch",
    "get_epoch",
    "get_or_build_image",
    "list_source_files",
    "open_clock",
    "open_store",
    "parse_store_url",
]
