-- description: One row per order of a shop: the last known value of each field, of whoever told it. net: what the shop keeps of it, in
--   the order's currency: its current total, else the total (discounts are off already) less what was paid back; 0 of an
--   order that is cancelled or a test. creator: whose code it was bought with, else whose link (utm content, else campaign)
--   led there, as it was told. date: the local day of the order.
-- materialized: incremental
-- tags: orders
-- unique_key: store, platform_order_id
-- values: creator_basis = CODE, UTM
with told as (
    {{ tellings_of_orders() }}
),
latest as (
    select
        store,
        platform_order_id,
        {%- for name in ['status', 'is_test', 'currency', 'commission', 'code', 'utm'] %}
        argMaxIf(told.{{ name }}, told.version, told.{{ name }} is not null) as {{ name }},
        {%- endfor %}
        {%- for name in ['total_price', 'current_total_price', 'total_discounts', 'total_refunded', 'quantity'] %}
        argMaxIf(told.{{ name }}, told.version, told.{{ name }} between 0 and {{ var('count_max') }}) as {{ name }},
        {%- endfor %}
        argMaxIf(told.placed_at, told.version, told.placed_at between toDateTime64('1971-01-02 00:00:00', 6, 'UTC') and {{ now_at() }} + interval 1 day) as placed_at,
        -- Cancelled is for good: what a slower source tells later does not undo it.
        max(ifNull(told.status in ('cancelled', 'canceled', 'voided', 'rejected'), false)) as is_cancelled,
        min(at) as first_at,
        max(at) as last_at
    from told
    {% if is_incremental() %}
    where (store, platform_order_id) in (select store, platform_order_id from told where inserted_at >= {{ watermark() }})
    {% endif %}
    group by store, platform_order_id
)
select
    store,
    platform_order_id,
    toDate(coalesce(placed_at, first_at), '{{ var("timezone") }}') as date,
    placed_at,
    if(is_cancelled, 'cancelled', status) as status,
    ifNull(is_test, false) as is_test,
    currency,
    total_price,
    total_discounts,
    total_refunded,
    multiIf(
        is_cancelled or ifNull(is_test, false), 0.,
        current_total_price is not null, current_total_price,
        total_price - ifNull(total_refunded, 0)
    ) as net,
    commission,
    quantity,
    coalesce(code, utm) as creator,
    multiIf(code is not null, 'CODE', utm is not null, 'UTM', null) as creator_basis,
    last_at,
    now64(6, 'UTC') as built_at
from latest
