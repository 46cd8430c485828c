-- description: One row per contract of a tenant: its plan from starts_at until before ends_at. PRO is read as PAID, as
--   the API does. Without deleted ones.
-- materialized: view
-- tags: collections
select
    id,
    partner_id,
    type,
    if(contract.plan = 'PRO', 'PAID', contract.plan) as plan,
    starts_at,
    ends_at,
    limits,
    created_at,
    updated_at
from {{ source('coffee_replica', 'partner_contract') }} as contract final
