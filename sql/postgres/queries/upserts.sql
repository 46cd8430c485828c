-- Rows of a crawl into a table as gcc/tables.py declares it. {table}, {columns} and so on are its identifiers, quoted by
-- the store; the rows are a JSON list of objects in order of their keys, which is then the order of the locks.

-- name: upsert
insert into {table} as old ({columns})
select {columns} from json_to_recordset(%(rows)s::json) as new ({typed})
on conflict ({key}) do {change};

-- name: replace
-- The {change} of a table that tells which row is newer.
update set {changes} where excluded.{newer} >= old.{newer};

-- name: replace_different
-- The {change} of one that does not: a row that says nothing new is not written.
update set {changes} where ({old}) is distinct from ({values});

-- name: keep
-- The {change} of one that has nothing but keys and what stays for ever.
nothing;
