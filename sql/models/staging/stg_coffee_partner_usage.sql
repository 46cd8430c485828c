-- description: One row per tenant, module and period: how much of the limit is used. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    module,
    usage_count,
    limit_count,
    plan_type,
    valid_from,
    valid_to,
    created_at,
    updated_at
from {{ source('coffee_replica', 'partner_usage') }} final
