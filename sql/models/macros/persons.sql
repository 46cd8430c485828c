{# The accounts of persons, as everybody may see them (2.12): one row per account that is linked to another one. #}
{% macro accounts_of_persons() -%}
select distinct assumeNotNull(linked.person_id) as person_id, linked.platform as platform, linked.profile_id as profile_id
from {{ ref('mart_linked_socials') }} as linked
where linked.person_id is not null
{%- endmacro %}
