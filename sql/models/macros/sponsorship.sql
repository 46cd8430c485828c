{# What tells that a post is paid for (2.10), each list with its source. #}

{# Tags that disclose an advertisement, in eight languages: English, Hindi, German, French, Spanish, Portuguese, Italian, Dutch.
   Sources: ASCI's guidelines for influencer advertising in digital media (India), the FTC's Disclosures 101, the UK's CAP, Germany's
   media authorities, France's law 2023-451, Autocontrol, CONAR, IAP's Digital Chart, the Dutch advertising code RSM. #}
{% macro disclosure_tags() %}{{ return([
    'ad', 'ads', 'advert', 'advertisement', 'advertising', 'sponsored', 'sponsoredpost', 'sponsoredcontent', 'sponsor',
    'paidpartnership', 'paidpromotion', 'paidpartner', 'paidcollab', 'paidcollaboration', 'paidad', 'promoted',
    'विज्ञापन', 'प्रायोजित',
    'werbung', 'anzeige', 'bezahltewerbung', 'bezahltepartnerschaft',
    'publicité', 'publicite', 'sponsorisé', 'sponsorise', 'collaborationcommerciale', 'partenariatrémunéré', 'partenariatremunere',
    'publicidad', 'patrocinado', 'colaboraciónpagada', 'colaboracionpagada',
    'publi', 'publipost', 'publicidade', 'parceriapaga', 'conteúdopatrocinado',
    'pubblicità', 'pubblicita', 'sponsorizzato', 'adv', 'contenutosponsorizzato',
    'advertentie', 'reclame', 'gesponsord', 'betaaldepartnerschap', 'spon',
]) }}{% endmacro %}

{# Tags that hint at one. Source: the same guidelines, which call them too weak to disclose. #}
{% macro hinting_tags() %}{{ return([
    'collab', 'collaboration', 'gifted', 'gift', 'pr', 'prgift', 'prpackage', 'prsample', 'partner', 'partnership', 'ambassador',
    'brandambassador', 'barter', 'bartercollab',
]) }}{% endmacro %}

{# Hosts of affiliate links: those of the programmes' own documents. Compared in small letters. #}
{% macro affiliate_hosts() %}{{ return([
    'amzn.to', 'amzn.in', 'amzn.eu', 'fkrt.it', 'fkrt.co', 'fkrt.cc', 'myntr.in', 'myntr.it', 'ajiio.in', 'wishlink.com', 'hypd.store',
    'ekaro.in', 'earnkaro.com', 'linksredirect.com', 'inrdeals.com', 'clnk.in', 'bitli.in', 'meesho.page.link', 'liketk.it', 'ltk.app.link',
    'shopltk.com', 'rstyle.me', 'shopstyle.it', 'go.magik.ly', 'shopmy.us', 'howl.link', 'howl.me', 'go.skimresources.com', 'awin1.com',
    'tidd.ly', 'shareasale.com', 'shrsl.com', 'anrdoezrs.net', 'jdoqocy.com', 'kqzyfj.com', 'tkqlhce.com', 'dpbolvw.net', 'sjv.io', 'pxf.io',
    'prf.hn', 'click.linksynergy.com', 'hop.clickbank.net', 's.click.aliexpress.com', 'geni.us', 'ebay.us',
]) }}{% endmacro %}

{# Whole hosts, and an Amazon shop's links with a partner's tag. #}
{% macro has_affiliate_link(text) -%}
(
    multiSearchAny({{ text }}, {{ sql_list(affiliate_hosts()) }})
    and hasAny(
        arrayMap(host -> replaceRegexpOne(host, '^www\\.', ''), extractAll({{ text }}, '[a-z0-9-]+(?:\\.[a-z0-9-]+)+')),
        {{ sql_list(affiliate_hosts()) }}
    )
    or position({{ text }}, 'amazon.') > 0 and match({{ text }}, '\\bamazon\\.[a-z.]+/\\S*[?&]tag=')
)
{%- endmacro %}

{# Accounts of businesses that work with creators: (handle, brand). Chosen: large advertisers of the home market and of the world. #}
{% macro known_businesses() %}{{ return([
    ('mynykaa', 'Nykaa'), ('nykaafashion', 'Nykaa Fashion'), ('myntra', 'Myntra'), ('ajiolife', 'AJIO'), ('flipkart', 'Flipkart'),
    ('amazondotin', 'Amazon'), ('amazon', 'Amazon'), ('meeshoapp', 'Meesho'), ('mamaearth.in', 'Mamaearth'), ('sugarcosmetics', 'SUGAR'),
    ('plumgoodness', 'Plum'), ('myglamm', 'MyGlamm'), ('lakmeindia', 'Lakmé'), ('maybelline_ind', 'Maybelline'),
    ('maybelline', 'Maybelline'), ('lorealparis', "L'Oréal Paris"), ('dove', 'Dove'), ('himalayawellness', 'Himalaya'),
    ('thedermaco', 'The Derma Co'), ('minimalist__official', 'Minimalist'), ('mcaffeineofficial', 'mCaffeine'), ('boat.nirvana', 'boAt'),
    ('gonoise', 'Noise'), ('oneplus_india', 'OnePlus'), ('samsungindia', 'Samsung'), ('samsung', 'Samsung'), ('xiaomi.india', 'Xiaomi'),
    ('realmeindia', 'realme'), ('vivo_india', 'vivo'), ('oppomobileindia', 'OPPO'), ('swiggyindia', 'Swiggy'), ('swiggyinstamart', 'Instamart'),
    ('zomato', 'Zomato'), ('letsblinkit', 'Blinkit'), ('zeptonow', 'Zepto'), ('bigbasketcom', 'bigbasket'), ('cred_club', 'CRED'),
    ('phonepe', 'PhonePe'), ('paytm', 'Paytm'), ('zerodhaonline', 'Zerodha'), ('growwapp', 'Groww'), ('makemytrip', 'MakeMyTrip'),
    ('airbnb', 'Airbnb'), ('netflix_in', 'Netflix'), ('netflix', 'Netflix'), ('primevideoin', 'Prime Video'), ('spotifyindia', 'Spotify'),
    ('cocacola_india', 'Coca-Cola'), ('pepsiindia', 'Pepsi'), ('nike', 'Nike'), ('adidas', 'adidas'), ('puma', 'PUMA'), ('pumaindia', 'PUMA'),
    ('hm', 'H&M'), ('zara', 'ZARA'), ('westsidestores', 'Westside'), ('tanishqjewellery', 'Tanishq'), ('titanwatchesindia', 'Titan'),
    ('lenskart', 'Lenskart'), ('decathlonsportsindia', 'Decathlon'), ('healthkart', 'HealthKart'), ('muscleblaze', 'MuscleBlaze'),
    ('cultfit', 'cult.fit'), ('upgrad_edu', 'upGrad'), ('unacademy', 'Unacademy'), ('byjus_app', "BYJU'S"), ('skillshare', 'Skillshare'),
    ('audible_in', 'Audible'), ('nordvpn', 'NordVPN'), ('squarespace', 'Squarespace'), ('hellofresh', 'HelloFresh'), ('sephora', 'Sephora'),
    ('fentybeauty', 'Fenty Beauty'), ('gymshark', 'Gymshark'), ('danielwellington', 'Daniel Wellington'), ('sheinofficial', 'SHEIN'),
]) }}{% endmacro %}

{# What is looked for in a text in small letters: (evidence, weight, expression of `text`). A word that such an expression needs is asked
   for first: most texts have none. #}
{% macro sponsorship_phrases() %}{{ return([
    ('PAID_PARTNERSHIP', 'sponsored_weight_disclosed', "position(text, 'paid partnership with') > 0"),
    ('COLLABORATION', 'sponsored_weight_collaboration', "match(text, 'in collaboration with\\\\s+@')"),
    ('DISCOUNT_CODE', 'sponsored_weight_code', "position(text, 'code') > 0 and position(text, '%') > 0 and match(text, '\\\\bcode\\\\b[^\\\\n]{0,60}[0-9]\\\\s?%|[0-9]\\\\s?%[^\\\\n]{0,60}\\\\bcode\\\\b')"),
]) }}{% endmacro %}
