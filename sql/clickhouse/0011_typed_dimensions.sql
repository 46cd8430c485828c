-- What models read of every snapshot is typed beside the JSON, as the rest is: to parse two fields of each took longer than
-- everything else that is asked of a month's attributes. Parts that stand are parsed when they are read, until they are
-- merged. told_handle: a YouTube channel's, whose id stands in the column handle.

alter table `_e`.profile_log_events {on_cluster}
    add column if not exists told_handle Nullable(String) materialized nullIf(JSONExtractString(dimensions, 'handle'), ''),
    add column if not exists website Nullable(String) materialized nullIf(JSONExtractString(dimensions, 'website'), '');
