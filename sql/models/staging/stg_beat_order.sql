-- description: What shops told of orders, one row a telling (twice until a merge, if it was delivered twice): readers take argMax by
--   version. Names and casts; money is in the order's currency.
-- materialized: view
-- tags: core
select
    platform,
    store,
    platform_order_id,
    event_timestamp as at,
    {{ event_version() }} as version,
    {{ event_inserted_at() }} as inserted_at,
    source,
    parseDateTime64BestEffortOrNull(JSONExtractString(dimensions, 'placed_at'), 6, 'UTC') as placed_at,
    parseDateTime64BestEffortOrNull(JSONExtractString(dimensions, 'cancelled_at'), 6, 'UTC') as cancelled_at,
    nullIf(lower(status), '') as status,
    lower({{ json_text('dimensions', 'fulfillment_status') }}) as fulfillment_status,
    nullIf(upper(currency), '') as currency,
    total_price,
    {% for name in ['current_total_price', 'subtotal_price', 'total_refunded', 'total_tax', 'total_shipping', 'commission'] %}
    JSONExtract(metrics, '{{ name }}', 'Nullable(Float64)') as {{ name }},
    {% endfor %}
    total_discounts,
    coalesce(quantity, JSONExtract(metrics, 'items', 'Nullable(Int64)')) as quantity,
    ifNull({{ json_typed('dimensions', 'test', 'Nullable(Bool)') }}, false) as is_test,
    -- One code, or a list of them.
    if(
        discount_code != '',
        [discount_code],
        {{ json_typed('dimensions', 'discount_codes', 'Array(String)') }}
    ) as discount_codes,
    {{ json_typed('dimensions', 'utm', 'Map(String, String)') }} as utm,
    {{ json_text('dimensions', 'landing_site') }} as landing_site,
    {{ json_text('dimensions', 'referring_site') }} as referring_site,
    {{ json_text('dimensions', 'customer_id') }} as customer_id
from {{ source('_e', 'order_log_events') }}
where {{ event_has_been() }} and length(platform_order_id) <= {{ var('id_bytes_max') }}
