-- The log of requests is parted by month, as all others. By day and flow it grew by a part for each flow a day, and for
-- each name that a producer made up: no merge joins those, and each takes the engine's memory for good.
--
-- Again after it was cut short, it begins with what that left. Others may write meanwhile: rows that came twice are one.

create table if not exists `_e`.request_log_moving {on_cluster} as `_e`.scrape_request_log_events;
insert into `_e`.scrape_request_log_events select * from `_e`.request_log_moving
settings max_partitions_per_insert_block = 0;
drop table `_e`.request_log_moving {on_cluster} sync;

create table `_e`.request_log_moving {on_cluster} as `_e`.scrape_request_log_events
engine = {engine}
partition by toYYYYMM(event_timestamp)
order by (platform, flow, event_timestamp, event_id)
settings non_replicated_deduplication_window = 1000;
insert into `_e`.request_log_moving select * from `_e`.scrape_request_log_events
settings max_partitions_per_insert_block = 0;
exchange tables `_e`.request_log_moving and `_e`.scrape_request_log_events {on_cluster};
insert into `_e`.scrape_request_log_events select * from `_e`.request_log_moving
settings max_partitions_per_insert_block = 0;
drop table `_e`.request_log_moving {on_cluster} sync;
