-- What `check` asks of ClickHouse, beside counting the event tables.

-- name: aside
-- What is set aside: which partitions of which table, with so many parts.
select concat(database, '.', table) as aside, partition_id, toUInt64(count()) as parts
from system.parts
where active and database = '_e' and endsWith(table, {suffix:String})
group by aside, partition_id
order by aside, partition_id;
