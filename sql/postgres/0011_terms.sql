-- A term is a key, so that a leader who renews does not wait for a transaction that holds the term (for key share),
-- and a successor, who changes it, does.

create unique index leader_term on leader (name, term);
