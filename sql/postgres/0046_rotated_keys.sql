-- A key has one successor: the next would have taken over the day that is left of it.
alter table api_key add column rotated_at timestamptz;

-- What is dropped by the hour is found without reading all sessions and devices.
create index api_session_revoked on api_session (revoked_at) where revoked_at is not null;
create index device_created on device (created_at);
