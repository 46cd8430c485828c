{# Words of bios that tell of no subject. Chosen: the commonest ones of four letters or more in English, in Hindi as it is written in
   Latin letters, and of links. #}
{% macro words_of_no_subject() %}{{ return([
    'about', 'account', 'also', 'always', 'bhai', 'been', 'business', 'channel', 'click', 'collab', 'collabs', 'contact', 'dear',
    'email', 'everyone', 'every', 'follow', 'followers', 'from', 'gmail', 'have', 'hello', 'here', 'http', 'https', 'info', 'inquiries',
    'instagram', 'into', 'just', 'know', 'life', 'like', 'link', 'live', 'love', 'mail', 'main', 'make', 'mera', 'more', 'most', 'much',
    'name', 'official', 'only', 'other', 'over', 'page', 'paid', 'please', 'promotion', 'promotions', 'queries', 'share', 'some',
    'subscribe', 'subscribers', 'than', 'thank', 'thanks', 'that', 'their', 'them', 'then', 'there', 'they', 'this', 'very', 'video',
    'videos', 'want', 'watch', 'welcome', 'what', 'when', 'where', 'which', 'will', 'with', 'work', 'world', 'would', 'year', 'years',
    'your', 'youtube',
]) }}{% endmacro %}
