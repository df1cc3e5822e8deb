from collections.abc import Mapping
from typing import Protocol

class _Body(Protocol):
    def read(self) -> bytes: ...

class _S3(Protocol):
    def create_bucket(self, *, Bucket: str) -> object: ...
    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> object: ...
    def get_object(self, *, Bucket: str, Key: str) -> Mapping[str, _Body]: ...
    def list_objects_v2(self, *, Bucket: str, Prefix: str) -> Mapping[str, list[Mapping[str, str]]]: ...

def client(
    service: str,
    *,
    endpoint_url: str,
    region_name: str,
    aws_access_key_id: str,
    aws_secret_access_key: str,
) -> _S3: ...
