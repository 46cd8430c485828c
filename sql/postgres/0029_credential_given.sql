-- Which secrets were given for a credential, so that one that comes again does not replace what followed it.

alter table credential
    add column given bytea[] not null default '{}';            -- SHA-256 of the id and the secret, the last ones
