-- What changes without being a change of the credential (0032_followed_rows.sql) would stand here as it was.

alter table beat_replica.credential {on_cluster} drop column if exists renewing_at, drop column if exists probed_at;
