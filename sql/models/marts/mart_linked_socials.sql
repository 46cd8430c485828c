-- description: One row per two accounts that are, or may be, one person's, each way: how sure that is and why, by rule 2.12, from links
--   in bios and websites, and from what people of ours and tenants say. partner_id: the tenant that alone may see the row; 0:
--   everybody may. person_id, of both: the least name in their group, joined by edges of .6 or more that everybody may see (in
--   groups of more than 6 accounts of .8 or more); null: the two are candidates, or their group was too wide to be told.
-- materialized: table
-- tags: daily
-- unique_key: platform, profile_id, other_platform, other_profile_id, partner_id
with profiles as (
    select
        platform,
        profile_id,
        concat('@', lowerUTF8(trim(leading '@' from ifNull(handle, '')))) as name,
        {{ letters_of('handle') }} as folded_handle,
        {{ letters_of('full_name') }} as folded_name,
        concatWithSeparator(' ', ifNull(bio, ''), ifNull(website, '')) as text
    from {{ ref('mart_profile_attributes') }}
),
-- What a text links to: a channel's id, or the handle of an account of the other platform.
mentions as (
    select
        platform,
        profile_id,
        folded_handle,
        folded_name,
        arrayJoin(arrayDistinct(if(
            platform = 'INSTAGRAM',
            arrayConcat(
                extractAll(text, '(?i)youtube\\.com/channel/(UC[A-Za-z0-9_-]{22})'),
                arrayMap(name -> lowerUTF8(name), extractAll(text, '(?i)youtube\\.com/(@[^\\s/?#"<>,;|()]+)'))
            ),
            arrayMap(name -> concat('@', lower(name)), extractAll(text, '(?i)(?:instagram\\.com|instagr\\.am)/(?:_u/)?@?([A-Za-z0-9_.]*[A-Za-z0-9_])'))
        ))) as named
    from profiles
    where positionCaseInsensitive(text, if(platform = 'INSTAGRAM', 'youtube.com/', 'instagr')) > 0
),
-- What many link to is a shop's or a network's, and nobody's second account.
links as (
    select *
    from (
        select
            mentions.platform as platform,
            mentions.profile_id as profile_id,
            other.profile_id as other_profile_id,
            mentions.folded_handle = other.folded_handle and other.folded_handle != '' as same_handle,
            mentions.folded_name = other.folded_name and other.folded_name != '' as same_name,
            uniqExact(mentions.profile_id) over (partition by other.platform, other.profile_id) as linked_by
        from mentions
        inner join (
            select platform, profile_id, folded_handle, folded_name, arrayJoin([profile_id, name]) as named from profiles
        ) as other on other.named = mentions.named
        where other.platform != mentions.platform
    )
    where linked_by <= {{ var('linked_by_max') }}
),
told as (
    select
        if(platform = 'INSTAGRAM', profile_id, other_profile_id) as instagram_id,
        if(platform = 'INSTAGRAM', other_profile_id, profile_id) as youtube_id,
        0 as partner_id,
        arrayFilter(sign -> sign != '', [
            if(platform = 'INSTAGRAM', 'INSTAGRAM_LINKS', 'YOUTUBE_LINKS'), if(same_handle, 'SAME_HANDLE', ''), if(same_name, 'SAME_NAME', '')
        ]) as signs
    from links
    union all
    select instagram.profile_id as instagram_id, youtube.profile_id as youtube_id, 0 as partner_id, ['SAME_HANDLE', 'SAME_NAME'] as signs
    from (select * from profiles where platform = 'INSTAGRAM' and folded_handle != '' and folded_name != '') as instagram
    inner join (select * from profiles where platform = 'YOUTUBE') as youtube
        on youtube.folded_handle = instagram.folded_handle and youtube.folded_name = instagram.folded_name
    union all
    select
        if(upper(platform) = 'INSTAGRAM', profile_id, linked_profile_id) as instagram_id,
        if(upper(platform) = 'INSTAGRAM', linked_profile_id, profile_id) as youtube_id,
        ifNull(partner_id, 0) as partner_id,
        ['TOLD'] as signs
    from {{ ref('stg_coffee_social_link') }}
    where (upper(platform), upper(linked_platform)) in (('INSTAGRAM', 'YOUTUBE'), ('YOUTUBE', 'INSTAGRAM'))
        and length(profile_id) <= {{ var('id_bytes_max') }} and length(linked_profile_id) <= {{ var('id_bytes_max') }}
),
pairs as (
    select
        concat('INSTAGRAM:', instagram_id) as instagram,
        concat('YOUTUBE:', youtube_id) as youtube,
        partner_id,
        arraySort(groupUniqArrayArray(signs)) as evidence,
        multiIf(
            has(evidence, 'TOLD') or hasAll(evidence, ['INSTAGRAM_LINKS', 'YOUTUBE_LINKS']), 1.,
            not hasAny(evidence, ['INSTAGRAM_LINKS', 'YOUTUBE_LINKS']), .5,
            has(evidence, 'SAME_HANDLE'), .8,
            .6
        ) as score
    from told
    group by instagram, youtube, partner_id
),
both_ways as (
    select way.1 as a, way.2 as b, partner_id, score, evidence
    from (select arrayJoin([(instagram, youtube), (youtube, instagram)]) as way, partner_id, score, evidence from pairs)
),
-- Labels spread along the edges: an account's is the least of its own and its neighbours'. Every account has an edge to itself.
groups_0 as (
    select edge.1 as a, edge.2 as b, max(edge.3) as score, edge.1 as label, edge.1 as label_before
    from (
        select arrayJoin([(a, b, score), (a, a, 1.)]) as edge
        from both_ways
        where score >= {{ var('linked_join_score') }} and partner_id = 0
    )
    group by edge.1, edge.2
),
{{ spread_labels('groups', 8) }},
sized as (
    select a, b, score, countIf(a = b) over (partition by label) as members from groups_8
),
strict_0 as (
    select a, b, score, a as label, a as label_before
    from sized
    where members <= {{ var('linked_members_max') }} or score >= {{ var('linked_strict_score') }}
),
-- The last round only tells whose labels still change: those groups are left out.
{{ spread_labels('strict', 9) }},
persons as (
    select a, b, label as person_id
    from (
        select a, b, label, max(a = b and label != label_before) over (partition by label) as changes from strict_9
    )
    where not changes
)
select
    substring(both_ways.a, 1, position(both_ways.a, ':') - 1) as platform,
    substring(both_ways.a, position(both_ways.a, ':') + 1) as profile_id,
    substring(both_ways.b, 1, position(both_ways.b, ':') - 1) as other_platform,
    substring(both_ways.b, position(both_ways.b, ':') + 1) as other_profile_id,
    both_ways.partner_id as partner_id,
    both_ways.score as score,
    both_ways.evidence as evidence,
    if(both_ways.partner_id = 0, persons.person_id, null) as person_id
from both_ways
left join persons on persons.a = both_ways.a and persons.b = both_ways.b
