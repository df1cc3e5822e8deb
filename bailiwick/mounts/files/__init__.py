"""The files mount: folders and buckets."""
