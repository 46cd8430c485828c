-- A replica's round may be cut short: `updated_at` and `key` tell how far it came, and null that it came to its end;
-- `floor` from when on the next one reads. No transaction that was open as the round began had begun before.

alter table replica_position
    drop column backfilled_at,
    drop column repaired_at,
    alter column updated_at drop not null,
    alter column key drop not null,
    add column floor timestamptz;

-- That a renewal was tried, a probe, another seal: none of it is a change of the credential. One that was found dead is
-- tried once (renewing_at < updated_at), and not again because of these.
drop trigger credential_touched on credential;
create trigger credential_touched before update on credential
    for each row
    when ((new.source, new.handle, new.kind, new.app, new.account, new.scopes, new.enabled, new.disabled_till,
           new.data_access_expired, new.reason, new.version, new.issued_at, new.expires_at, new.data_access_expires_at)
          is distinct from
          (old.source, old.handle, old.kind, old.app, old.account, old.scopes, old.enabled, old.disabled_till,
           old.data_access_expired, old.reason, old.version, old.issued_at, old.expires_at, old.data_access_expires_at))
    execute function grow_updated_at();
