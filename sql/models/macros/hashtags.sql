{# Hashtags of a text by rule 2.8: letters, marks, digits, signs, underscores and joiners after a #, which begins where no word goes on or
   where another tag ends. URLs, entities and marks of direction are no part of it. Characters are NFKC's, so that a composed and a
   decomposed é are one. What is rare is looked for before it is taken out: texts are many. #}

{# The text, ready to be searched. #}
{% macro hashtag_text(text) -%}
{%- set normal = "normalizeUTF8NFKC(" ~ text ~ ")" -%}
{%- set undirected = "replaceRegexpAll(" ~ normal ~ ", '[\\\\x{061C}\\\\x{200E}\\\\x{200F}\\\\x{202A}-\\\\x{202E}\\\\x{2066}-\\\\x{2069}]', '')" -%}
{%- set unlinked = "replaceRegexpAll(" ~ undirected ~ ", '(?i)(?:https?://|\\\\bwww\\\\.)[!-~]+', ' ')" -%}
replaceRegexpAll({{ unlinked }}, '&(?:amp;)*(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z]+);', ' ')
{%- endmacro %}

{# Where tags are what stands after each #: ASCII without links and entities, each # after a space or on a line of its own. Most
   texts are, and a fifth of the time does for them. #}
{% macro has_plain_hashtags(text) -%}
(
    length({{ text }}) = lengthUTF8({{ text }})
    and not multiSearchAnyCaseInsensitive({{ text }}, ['&', 'http', 'www.'])
    and countSubstrings({{ text }}, '#') = countSubstrings({{ text }}, ' #') + countSubstrings({{ text }}, '\n#') + startsWith({{ text }}, '#')
)
{%- endmacro %}

{# Words with their tags; those that begin with a # are runs of tags (#a#b is one of two), cut at each #. Tags as they are written;
   those without a letter or a sign, empty ones, and those that no index would hold are none. A group in the expression would make it ten times slower. #}
{% macro hashtags_written(text) -%}
{%- set part = '[\\\\p{L}\\\\p{M}\\\\p{N}\\\\p{So}_\\\\x{200C}\\\\x{200D}\\\\x{1F3FB}-\\\\x{1F3FF}\\\\x{E0020}-\\\\x{E007F}]' -%}
arrayFilter(
    tag -> length(tag) <= {{ var('hashtag_bytes_max') }},
    if(
        {{ has_plain_hashtags(text) }},
        extractAll({{ text }}, '#([0-9_]*[A-Za-z][A-Za-z0-9_]*)'),
        arrayFilter(
            tag -> match(tag, '[\\p{L}\\p{So}]'),
            arrayFlatten(arrayMap(
                run -> splitByChar('#', run),
                arrayFilter(
                    run -> startsWith(run, '#'),
                    extractAll({{ hashtag_text(text) }}, '[\\p{L}\\p{M}\\p{N}_&/]*(?:#{{ part }}*)+')
                )
            ))
        )
    )
)
{%- endmacro %}

{# What tags are compared by: case folded, without variation selectors and ZWNJ. The casefold would drop a ZWJ, which holds emoji
   together: a private character stands for it meanwhile. Most tags are ASCII, of which small letters are the casefold. #}
{% macro hashtag_key(tag) -%}
if(
    length({{ tag }}) = lengthUTF8({{ tag }}),
    lower({{ tag }}),
    replaceAll(
        normalizeUTF8NFKCCasefold(replaceAll(
            replaceRegexpAll({{ tag }}, '[\\x{FE00}-\\x{FE0F}\\x{E0100}-\\x{E01EF}\\x{200C}]', ''), '\xE2\x80\x8D', '\xEE\x80\x80'
        )),
        '\xEE\x80\x80', '\xE2\x80\x8D'
    )
)
{%- endmacro %}

{# The keys of a text's tags, each once. Most texts have none. #}
{% macro hashtag_keys(text) -%}
if(
    position({{ text }}, '#') = 0 and position({{ text }}, '＃') = 0,
    [],
    arrayDistinct(arrayMap(tag -> {{ hashtag_key('tag') }}, {{ hashtags_written(text) }}))
)
{%- endmacro %}
