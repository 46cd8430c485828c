-- Where columns of models come from: dbt.column_lineage. See gcc/pipelines/analytics/lineage.py.

-- name: standing
select name, comment from system.tables where database = 'dbt';

-- name: columns
select database || '.' || table as parent, name
from system.columns
where database not in ('system', 'INFORMATION_SCHEMA', 'information_schema')
order by parent, position;

-- name: drop_spare
drop table if exists dbt.column_lineage__new;

-- name: create_spare
create table dbt.column_lineage__new (
    model LowCardinality(String),
    column LowCardinality(String),
    parent LowCardinality(String),        -- database.table; '' of what is made of nothing
    parent_column LowCardinality(String)  -- '*' of what is made of whole rows
)
engine = MergeTree
order by (model, column, parent, parent_column)
comment '{digest}';

-- name: fill_spare
insert into dbt.column_lineage__new
select model, column, parent, parent_column
from format(JSONEachRow, 'model String, column String, parent String, parent_column String', {rows:String});

-- name: exchange
exchange tables dbt.column_lineage__new and dbt.column_lineage;

-- name: put_in_place
rename table dbt.column_lineage__new to dbt.column_lineage;

-- name: lineage
select model, column, parent, parent_column from dbt.column_lineage order by all;
