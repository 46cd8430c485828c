{# What is asked of every model by its columns' names and types and by its key: one SELECT, a row a rule, with how many
   rows are wrong and one of the wrong values. Our runner and dbt ask the same. An error is what can only be a mistake of
   ours; what odd data may bring is a warning.

   relation     what is read: a table, with its FINAL
   columns      name -> type
   key          the grain; [] of a view
   values       column -> what it may say, beside what is known below
   references   [column, [[relation, column there], ...]]: it stands in one of them, if the model has it
   today        the local day, in SQL
   only         the rows that are looked at; ranks are left out unless that is all of them
   kept_of      a table that may not have had twice as many rows, or none
   mart         whether maps of floats are shares of a whole #}

{% macro rules(relation, columns, key, values, references, today, only="true", kept_of=none, mart=true) -%}
{%- set values = dict({"platform": ["INSTAGRAM", "YOUTUBE", "SHOPIFY"], "grade": ["A", "B", "C", "D", "E"],
                       "confidence": ["HIGH", "MEDIUM", "LOW"]}, **values) -%}
{%- set search = modules.re.search -%}
{%- set asked = [] -%}
{%- for column in key -%}
  {%- do asked.append(["not_null", column, "error", "isNull(`" ~ column ~ "`)"]) -%}
{%- endfor -%}
{%- for column, type in columns.items() -%}
  {%- set bare = type | replace("LowCardinality(", "") | replace("Nullable(", "") -%}
  {%- set its = "`" ~ column ~ "`" -%}
  {%- if column in values and not bare.startswith("Float") -%}
    {%- set said = "'" ~ values[column] | join("', '") ~ "'" -%}
    {%- do asked.append(["accepted_values", column, "error", "isNotNull(" ~ its ~ ") and toString(" ~ its ~ ") not in (" ~ said ~ ")"]) -%}
  {%- elif column in ("status", "kind", "level") and "String" in bare -%}
    {%- do asked.append(["values_declared", column, "warn", "isNotNull(" ~ its ~ ")"]) -%}
  {%- endif -%}
  {%- if bare.startswith("Float") and search("(^|_)(er|engagement_rate)(_|$)", column) and not search("percentile|rank|change", column) -%}
    {#- What a small account posts may be liked by many times its followers. -#}
    {%- set of = ["followers", "subscribers", "followers_at_publish"] | select("in", columns) | first | default(none) -%}
    {%- set known = " and ifNull(`" ~ of ~ "`, 0) >= 10000" if of else "" -%}
    {%- do asked.append(["rate", column, "error", "not (" ~ its ~ " between 0 and 5)" ~ known]) -%}
    {%- do asked.append(["rate_above_1", column, "warn", "not (" ~ its ~ " between 0 and 1)"]) -%}
  {%- elif bare.startswith("Float") and search("(^|_)(share|rate|percentile|coverage|credibility)(_|$)", column) and not search("growth|gain|change", column) -%}
    {%- do asked.append(["share", column, "error", "not (" ~ its ~ " between 0 and 1)"]) -%}
  {%- elif bare.startswith("Float") and search("^(avg|mean|median|typical)_|(^|_)(price|emv|cpm|cpe|posts_per_week)(_|$)", column) and not search("(^|_)change(_|$)", column) -%}
    {%- do asked.append(["count", column, "error", "not (" ~ its ~ " >= 0)"]) -%}
  {%- elif bare.startswith("Int") and not search("(^|_)(gain|gained|change|delta|diff|growth|net|lost|score|z|offset)(_|$)", column) -%}
    {%- do asked.append(["count", column, "error", its ~ " < 0"]) -%}
  {%- elif bare.startswith("Date") -%}
    {%- do asked.append(["date_known", column, "error", "toDate(" ~ its ~ ") < '1971-01-01'"]) -%}
    {%- if not search("(^|_)(due|expires|ends|end|until|valid|next|scheduled)(_|$)", column) -%}
      {%- set first = "2005-01-01" if column.startswith("publish") else "2010-01-01" -%}
      {%- do asked.append(["date", column, "warn", "toDate(" ~ its ~ ") < '" ~ first ~ "' or toDate(" ~ its ~ ") > " ~ today ~ " + 1"]) -%}
    {%- endif -%}
  {%- elif bare.startswith("Map(") and "Float" in bare and mart and not search("price|emv|cpm|avg|mean|median|count|weight|score|hour", column) -%}
    {%- do asked.append(["shares_sum_to_1", column, "error", "notEmpty(" ~ its ~ ") and abs(arraySum(mapValues(" ~ its ~ ")) - 1) > .01"]) -%}
  {%- endif -%}
{%- endfor -%}
{%- for column, there in references if column in columns -%}
  {%- set its = "ifNull(toString(`" ~ column ~ "`), '')" -%}
  {%- set known = [] -%}
  {%- for table, field in there -%}
    {%- do known.append("select toString(`" ~ field ~ "`) from " ~ table) -%}
  {%- endfor -%}
  {%- do asked.append(["relationship", column, "warn", its ~ " != '' and " ~ its ~ " not in (" ~ known | join(" union all ") ~ ")"]) -%}
{%- endfor -%}

select * from (
select '' as test, '' as column, '' as severity, toUInt64(0) as found, '' as said where false
{%- if asked %}
union all
select row.1, row.2, row.3, row.4, row.5
from (
    select arrayJoin([
        {%- for test, column, severity, wrong in asked %}
        ('{{ test }}', '{{ column }}', '{{ severity }}', countIf({{ wrong }}), ifNull(toString(anyIf(`{{ column }}`, {{ wrong }})), '')){{ "," if not loop.last }}
        {%- endfor %}
    ]) as row
    from {{ relation }}
    where {{ only }}
)
{%- endif %}
{%- if key %}
union all
select 'unique', '{{ key | join(", ") }}', 'error', count(), ifNull(toString(any(doubled)), '')
from (
    select tuple({{ key | join(", ") }}) as doubled
    from {{ relation }}
    where {{ only }}
    {%- if key | length > 1 %}
    {#- A group for each row costs ten times as much as one for each of what the key begins with, up to who it is of: only of those that
        hold fewer different rows than rows it is asked which. Hashes will do for that: equal rows have equal ones. -#}
    {%- set first = [] -%}
    {%- set rest = [] -%}
    {%- set types = [] -%}
    {%- for column in key -%}
      {%- if loop.first or not loop.last and first[-1] not in ("profile_id", "channel_id", "person_id") and not rest -%}
        {%- do first.append(column) -%}
      {%- else -%}
        {%- do rest.append(column) -%}
        {%- do types.append(columns[column]) -%}
      {%- endif -%}
    {%- endfor -%}
    {%- if "Nullable" in types | join -%}
      {%- set told = "tuple(" ~ rest | join(", ") ~ ")" -%} {#- a null is no value to count -#}
    {%- elif rest | length == 1 and "String" not in types[0] -%}
      {%- set told = rest[0] -%}
    {%- else -%}
      {%- set told = "cityHash64(" ~ rest | join(", ") ~ ")" -%}
    {%- endif %}
    and ({{ first | join(", ") }}) in (
        select {{ first | join(", ") }}
        from {{ relation }}
        where {{ only }}
        group by {{ first | join(", ") }}
        having count() != uniqExact({{ told }})
        settings optimize_aggregation_in_order = 1
    )
    {%- endif %}
    group by {{ key | join(", ") }}
    having count() > 1
    settings optimize_aggregation_in_order = 1 {#- a table is sorted by its key: memory for one group, not for all #}
)
{%- endif %}
{%- for column in columns if only == "true" and key and search("(^|_)rank(_by_[a-z_]+)?$", column) and not search("^(prev|previous|last)|_prev$", column) %}
{{ rules_rank(relation, column, columns, key) }}
{%- endfor %}
{%- if kept_of %}
union all
select 'rows_kept', '', 'error', toUInt64(here < before / 2), concat(toString(here), ' rows after ', toString(before))
from (
    select
        toUInt64(ifNull((select count() from {{ relation }}), 0)) as here,
        toUInt64(ifNull((select sum(total_rows) from system.tables where concat(database, '.', name) = '{{ kept_of }}'), 0)) as before
)
{%- endif %}
)
{%- endmacro %}

{# A rank is right when ranking by it changes nothing: the least is 1, and k + 1 comes after k rows. Its group: the key
   without whom it is of, and what its name says it is by. #}
{% macro rules_rank(relation, column, columns, key) -%}
{%- set group = [] -%}
{%- set ids = ["profile_id", "channel_id", "person_id"] if "month" in key or "week" in key or column != "rank" else [key[-1]] -%}
{%- for each in key if each != column and (column in key or each not in ids) -%}
  {%- do group.append("`" ~ each ~ "`") -%}
{%- endfor -%}
{%- for by in (column.split("_by_")[1].split("_") if "_by_" in column else []) -%}
  {%- set named = {"cat": "category", "lang": "language"}.get(by, by) -%}
  {%- if named in columns -%}
    {%- do group.append("lowerUTF8(toString(`" ~ named ~ "`))") -%}
  {%- endif -%}
{%- endfor -%}
union all
select 'rank', '{{ column }}', 'error', sum(length(wrong)), ifNull(toString(anyIf(wrong[1], notEmpty(wrong))), '')
from (
    {#- In order, each is that of the one before, or its own number. To sort numbers takes a fifth of ranking rows. -#}
    select
        arraySort(groupArray(assumeNotNull(`{{ column }}`))) as places,
        arrayFilter(
            (place, before, nth) -> place != before and place != nth,
            places, arrayPushFront(arrayPopBack(places), 0), arrayEnumerate(places)
        ) as wrong
    from {{ relation }}
    where isNotNull(`{{ column }}`)
    {%- if group %}
    group by {{ group | join(", ") }}
    {%- endif %}
)
{%- endmacro %}
