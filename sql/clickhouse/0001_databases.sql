-- `_e`: events as they came, append-only. `dbt`: what the models build.
-- {on_cluster} is empty on one machine, or ON CLUSTER name.

create database if not exists `_e` {on_cluster};

create database if not exists dbt {on_cluster};
