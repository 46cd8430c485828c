-- A credential ends with its connection, and so does its secret: nothing asks with it any more, whoever wants to. A verdict, or
-- a renewal, that is under way finds another version.
create or replace function end_credential(whose bigint, ended uuid) returns void language sql security definer
set search_path = pg_catalog, pg_temp
begin atomic
    update credential as k
    set enabled = false, disabled_till = null, reason = 'by hand: its connection was ended', updated_at = now(),
        credentials = null, sealed = null, key_id = null, version = version + 1
    from connection as c
    where c.partner_id = whose and c.id = ended and c.state = 'REVOKED' and k.source = c.source and k.handle = c.id::text
      and (k.enabled or k.credentials is not null or k.sealed is not null);
end;

select end_credential(partner_id, id) from connection where state = 'REVOKED';
