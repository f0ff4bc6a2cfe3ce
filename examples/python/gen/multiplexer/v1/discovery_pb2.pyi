import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ListGRPCServerRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "filter", "details")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    filter: str
    details: bool
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., filter: _Optional[str] = ..., details: _Optional[bool] = ...) -> None: ...

class ListGRPCServerResponse(_message.Message):
    __slots__ = ("servers", "edges", "next_page_token", "revision")
    SERVERS_FIELD_NUMBER: _ClassVar[int]
    EDGES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    servers: _containers.RepeatedScalarFieldContainer[str]
    edges: _containers.RepeatedCompositeFieldContainer[Edge]
    next_page_token: str
    revision: str
    def __init__(self, servers: _Optional[_Iterable[str]] = ..., edges: _Optional[_Iterable[_Union[Edge, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., revision: _Optional[str] = ...) -> None: ...

class WatchGRPCServerRequest(_message.Message):
    __slots__ = ("snapshot", "resume_after", "filter", "details")
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    RESUME_AFTER_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    snapshot: bool
    resume_after: str
    filter: str
    details: bool
    def __init__(self, snapshot: _Optional[bool] = ..., resume_after: _Optional[str] = ..., filter: _Optional[str] = ..., details: _Optional[bool] = ...) -> None: ...

class WatchGRPCServerResponse(_message.Message):
    __slots__ = ("server", "event", "revision", "edge", "reason")
    class Event(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        EVENT_UNSPECIFIED: _ClassVar[WatchGRPCServerResponse.Event]
        EVENT_CONNECTED: _ClassVar[WatchGRPCServerResponse.Event]
        EVENT_DISCONNECTED: _ClassVar[WatchGRPCServerResponse.Event]
        EVENT_UPDATED: _ClassVar[WatchGRPCServerResponse.Event]
        EVENT_SNAPSHOT_END: _ClassVar[WatchGRPCServerResponse.Event]
        EVENT_RESYNC: _ClassVar[WatchGRPCServerResponse.Event]
    EVENT_UNSPECIFIED: WatchGRPCServerResponse.Event
    EVENT_CONNECTED: WatchGRPCServerResponse.Event
    EVENT_DISCONNECTED: WatchGRPCServerResponse.Event
    EVENT_UPDATED: WatchGRPCServerResponse.Event
    EVENT_SNAPSHOT_END: WatchGRPCServerResponse.Event
    EVENT_RESYNC: WatchGRPCServerResponse.Event
    SERVER_FIELD_NUMBER: _ClassVar[int]
    EVENT_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    EDGE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    server: str
    event: WatchGRPCServerResponse.Event
    revision: str
    edge: Edge
    reason: str
    def __init__(self, server: _Optional[str] = ..., event: _Optional[_Union[WatchGRPCServerResponse.Event, str]] = ..., revision: _Optional[str] = ..., edge: _Optional[_Union[Edge, _Mapping]] = ..., reason: _Optional[str] = ...) -> None: ...

class Edge(_message.Message):
    __slots__ = ("client_id", "version", "connected_since", "generation", "remote_address", "heartbeat_rtt", "calls_in_flight", "labels", "context")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class ContextEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    CLIENT_ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONNECTED_SINCE_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    REMOTE_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_RTT_FIELD_NUMBER: _ClassVar[int]
    CALLS_IN_FLIGHT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    client_id: str
    version: str
    connected_since: _timestamp_pb2.Timestamp
    generation: int
    remote_address: str
    heartbeat_rtt: _duration_pb2.Duration
    calls_in_flight: int
    labels: _containers.ScalarMap[str, str]
    context: _containers.ScalarMap[str, str]
    def __init__(self, client_id: _Optional[str] = ..., version: _Optional[str] = ..., connected_since: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., generation: _Optional[int] = ..., remote_address: _Optional[str] = ..., heartbeat_rtt: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., calls_in_flight: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ..., context: _Optional[_Mapping[str, str]] = ...) -> None: ...
