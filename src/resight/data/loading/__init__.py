"""From a file to pixels: decoding, cache, stream, device memory."""
