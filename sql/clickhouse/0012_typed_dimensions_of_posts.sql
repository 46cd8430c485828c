-- As in 0011, of posts: three models looked through the JSON of every snapshot for fields that few have.
-- duration_s: seconds. is_paid: the platform's own sign, by whichever name. location: a place's name, that of an object or
-- the field itself. tagged: who is in it or made it, too.

alter table `_e`.post_log_events {on_cluster}
    add column if not exists duration_s Nullable(Float64) materialized
        if(position(dimensions, '"duration_s"') = 0, null, JSONExtract(dimensions, 'duration_s', 'Nullable(Float64)')),
    add column if not exists upright Nullable(Bool) materialized
        if(position(dimensions, '"upright"') = 0, null, JSONExtract(dimensions, 'upright', 'Nullable(Bool)')),
    add column if not exists is_paid Nullable(Bool) materialized
        if(
            position(dimensions, 'paid') = 0,
            null,
            coalesce(
                JSONExtract(dimensions, 'paid_partnership', 'Nullable(Bool)'),
                JSONExtract(dimensions, 'paid_promotion', 'Nullable(Bool)'),
                JSONExtract(dimensions, 'is_paid', 'Nullable(Bool)')
            )
        ),
    add column if not exists location Nullable(String) materialized
        if(
            position(dimensions, '"location') = 0,
            null,
            coalesce(
                nullIf(JSONExtractString(dimensions, 'location', 'name'), ''),
                if(JSONType(dimensions, 'location') = 'String', nullIf(JSONExtractString(dimensions, 'location'), ''), null),
                nullIf(JSONExtractString(dimensions, 'location_name'), '')
            )
        ),
    add column if not exists tagged Array(String) materialized
        if(
            position(dimensions, '"collaborators"') = 0 and position(dimensions, '"tagged"') = 0,
            [],
            arrayDistinct(arrayConcat(
                JSONExtract(dimensions, 'collaborators', 'Array(String)'),
                JSONExtract(dimensions, 'tagged', 'Array(String)')
            ))
        );
