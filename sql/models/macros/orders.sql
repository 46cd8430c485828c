{# What was told of orders, by crawls of shops, affiliates' messages and shops' webhooks, in one form: a row a telling. #}
{% macro tellings_of_orders() -%}
select
    {{ store_name('stg.store') }} as store,
    stg.platform_order_id as platform_order_id,
    stg.version as version,
    stg.inserted_at as inserted_at,
    stg.at as at,
    stg.placed_at as placed_at,
    if(stg.cancelled_at is not null, 'cancelled', stg.status) as status,
    stg.is_test as is_test,
    stg.currency as currency,
    stg.total_price as total_price,
    stg.current_total_price as current_total_price,
    stg.total_discounts as total_discounts,
    stg.total_refunded as total_refunded,
    stg.commission as commission,
    stg.quantity as quantity,
    if(notEmpty(stg.discount_codes), nullIf(stg.discount_codes[1], ''), null) as code,
    coalesce(nullIf(stg.utm['content'], ''), nullIf(stg.utm['campaign'], '')) as utm
from {{ ref('stg_beat_order') }} as stg
union all
select
    {{ store_name('affiliate.store') }} as store,
    affiliate.order_id as platform_order_id,
    {{ event_version() }} as version,
    affiliate.insert_timestamp as inserted_at,
    affiliate.event_timestamp as at,
    affiliate.ordered_at as placed_at,
    nullIf(lower(affiliate.status), '') as status,
    null as is_test,
    nullIf(upper(affiliate.currency), '') as currency,
    affiliate.amount as total_price,
    null as current_total_price,
    null as total_discounts,
    null as total_refunded,
    affiliate.commission as commission,
    null as quantity,
    nullIf(affiliate.referral_code, '') as code,
    null as utm
from (
    -- The last message of an order alone is kept: one of a time to come tells what it tells as of when it came.
    select * except event_timestamp, least(told.event_timestamp, told.insert_timestamp) as event_timestamp
    from {{ source('_e', 'affiliate_order_event') }} as told final
) as affiliate
where {{ event_has_been() }} and affiliate.order_id != ''
union all
select
    {{ store_name('shopify.shop_domain') }} as store,
    toString(assumeNotNull(shopify.order_id)) as platform_order_id,
    {{ event_version() }} as version,
    {{ event_inserted_at() }} as inserted_at,
    shopify.event_timestamp as at,
    parseDateTime64BestEffortOrNull(
        coalesce({{ json_text('shopify.event_data', 'processed_at') }}, {{ json_text('shopify.event_data', 'created_at') }}), 6, 'UTC'
    ) as placed_at,
    if(
        {{ json_text('shopify.event_data', 'cancelled_at') }} is not null,
        'cancelled',
        nullIf(lower(shopify.financial_status), '')
    ) as status,
    {{ json_typed('shopify.event_data', 'test', 'Nullable(Bool)') }} as is_test,
    nullIf(upper(shopify.currency), '') as currency,
    shopify.total_price as total_price,
    toFloat64OrNull({{ json_text('shopify.event_data', 'current_total_price') }}) as current_total_price,
    toFloat64OrNull({{ json_text('shopify.event_data', 'total_discounts') }}) as total_discounts,
    if(
        position(shopify.event_data, '"refunds"') = 0,
        null,
        arraySum(arrayMap(
            paid -> toFloat64OrZero(JSONExtractString(paid, 'amount')),
            arrayFilter(
                paid -> JSONExtractString(paid, 'kind') = 'refund' and JSONExtractString(paid, 'status') in ('success', ''),
                arrayFlatten(arrayMap(
                    refund -> JSONExtractArrayRaw(refund, 'transactions'),
                    JSONExtractArrayRaw(shopify.event_data, 'refunds')
                ))
            )
        ))
    ) as total_refunded,
    null as commission,
    null as quantity,
    nullIf(JSONExtractString(shopify.event_data, 'discount_codes', 1, 'code'), '') as code,
    coalesce(
        nullIf(extractURLParameter({{ json_text('shopify.event_data', 'landing_site') }}, 'utm_content'), ''),
        nullIf(extractURLParameter({{ json_text('shopify.event_data', 'landing_site') }}, 'utm_campaign'), '')
    ) as utm
from {{ source('_e', 'shopify_event') }} as shopify
where {{ event_has_been() }} and shopify.topic like 'orders/%' and shopify.order_id is not null
{%- endmacro %}

{# Shops are named NAME or NAME.myshopify.com: they are one. #}
{% macro store_name(store) -%}
replaceRegexpOne(lower({{ store }}), '\\.myshopify\\.com$', '')
{%- endmacro %}
