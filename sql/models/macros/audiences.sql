{# Of what an audience is told: parts of a whole, as shares by name. #}
{% macro audience_kinds() %}{{ return(['gender', 'age', 'country', 'city', 'language']) }}{% endmacro %}

{# Parts as shares that sum to 1, in the order of their names; without parts, none. #}
{% macro shares_of(parts) -%}
mapSort(mapApply((part, weight) -> (part, weight / arraySum(mapValues({{ parts }}))), {{ parts }}))
{%- endmacro %}

{# Metrics of insights that are told by parts, and of which kinds they are: two are of two kinds at once ("F.18-24"). #}
{% macro audience_metrics() %}{{ return({
    'audience_gender': 'gender',
    'audience_age': 'age',
    'audience_country': 'country',
    'audience_city': 'city',
    'audience_locale': 'language',
    'audience_gender_age': '',
    'audience_age_gender': '',
}) }}{% endmacro %}

{# Parts as everybody's are named: null is none, and its share that of nobody. `canonical`: the dictionary's word for it. #}
{% macro audience_part(kind, raw, canonical) -%}
multiIf(
    {{ kind }} = 'gender', multiIf(
        lower({{ raw }}) in ('f', 'female', 'women', 'woman'), 'female',
        lower({{ raw }}) in ('m', 'male', 'men', 'man'), 'male',
        lower({{ raw }}) in ('user_specified', 'genderuserspecified', 'other', 'non-binary'), 'other',
        null
    ),
    {{ kind }} = 'age', nullIf(extract(replaceOne(replaceOne(lower({{ raw }}), 'age', ''), '65-', '65+'), '^([0-9]{2}(?:-[0-9]{2}|\\+))$'), ''),
    {{ kind }} = 'city', coalesce({{ canonical }}, nullIf(trimBoth(splitByChar(',', {{ raw }})[1]), '')),
    {{ canonical }}
)
{%- endmacro %}

{# The language that a text's script belongs to alone, or nearly; null of Latin, Arabic and other scripts of many languages.
   Ranges are Unicode's blocks. #}
{% macro language_of_script(text) -%}
multiIf(
    match({{ text }}, '[\\x{0900}-\\x{097F}]'), 'hi',
    match({{ text }}, '[\\x{0980}-\\x{09FF}]'), 'bn',
    match({{ text }}, '[\\x{0A00}-\\x{0A7F}]'), 'pa',
    match({{ text }}, '[\\x{0A80}-\\x{0AFF}]'), 'gu',
    match({{ text }}, '[\\x{0B00}-\\x{0B7F}]'), 'or',
    match({{ text }}, '[\\x{0B80}-\\x{0BFF}]'), 'ta',
    match({{ text }}, '[\\x{0C00}-\\x{0C7F}]'), 'te',
    match({{ text }}, '[\\x{0C80}-\\x{0CFF}]'), 'kn',
    match({{ text }}, '[\\x{0D00}-\\x{0D7F}]'), 'ml',
    match({{ text }}, '[\\x{0D80}-\\x{0DFF}]'), 'si',
    match({{ text }}, '[\\x{0E00}-\\x{0E7F}]'), 'th',
    match({{ text }}, '[\\x{AC00}-\\x{D7AF}]'), 'ko',
    match({{ text }}, '[\\x{3040}-\\x{30FF}]'), 'ja',
    null
)
{%- endmacro %}

{# Given names that tell a gender, as they are written in Latin letters, without those that both bear (Kiran, Jyoti ...).
   Chosen: common given names of India, and some that are common everywhere. #}
{% macro female_names() %}{{ return([
    'aaradhya', 'aarti', 'aditi', 'aishwarya', 'akanksha', 'alia', 'amrita', 'anamika', 'ananya', 'anita', 'anjali', 'anju',
    'ankita', 'anu', 'anushka', 'aparna', 'archana', 'arpita', 'asha', 'ayesha', 'bhavana', 'bhavya', 'chitra', 'deepa',
    'deepika', 'diksha', 'disha', 'divya', 'diya', 'fatima', 'garima', 'gayatri', 'geeta', 'gita', 'heena', 'hema', 'indu', 'isha',
    'ishita', 'jaya', 'juhi', 'kajal', 'kalpana', 'kanchan', 'kareena', 'karishma', 'katrina', 'kavita', 'kavya',
    'khushi', 'komal', 'kriti', 'lakshmi', 'lata', 'laxmi', 'madhuri', 'mahima', 'malini', 'mamta', 'manisha', 'maya', 'meena',
    'meera', 'megha', 'mehak', 'monika', 'muskan', 'namrata', 'nandini', 'natasha', 'neelam', 'neetu', 'neha', 'nidhi',
    'nikita', 'nisha', 'nora', 'pallavi', 'payal', 'pooja', 'poonam', 'prachi', 'pragya', 'pratibha', 'preeti', 'priya',
    'priyanka', 'puja', 'rachna', 'radha', 'radhika', 'rani', 'rashmi', 'rekha', 'renu', 'richa', 'ritika', 'ritu', 'riya',
    'roshni', 'rupali', 'sakshi', 'sana', 'sandhya', 'sangeeta', 'sania', 'sara', 'sarah', 'sarita', 'savita', 'seema', 'shalini',
    'shilpa', 'shivani', 'shreya', 'shruti', 'shweta', 'simran', 'smita', 'sneha', 'sonali', 'sonia', 'sonam', 'sunita',
    'surbhi', 'sushma', 'swati', 'tanvi', 'tanya', 'trisha', 'urvashi', 'usha', 'vaishnavi', 'vandana', 'varsha', 'vidya', 'zara',
    'anna', 'emily', 'emma', 'jessica', 'julia', 'laura', 'lisa', 'maria', 'mary', 'olivia', 'sofia', 'sophia', 'victoria',
]) }}{% endmacro %}

{% macro male_names() %}{{ return([
    'aakash', 'aarav', 'abdul', 'abhinav', 'abhishek', 'aditya', 'ahmed', 'ajay', 'ajit', 'akash', 'akhil', 'akshay', 'ali', 'alok',
    'aman', 'amar', 'amit', 'amitabh', 'anand', 'anil', 'aniket', 'anirudh', 'ankit', 'ankur', 'anshul', 'anuj', 'anupam', 'arjun',
    'arnav', 'arun', 'arvind', 'aryan', 'ashish', 'ashok', 'ashutosh', 'ashwin', 'atul', 'ayush', 'bharat', 'bhuvan', 'chetan',
    'chirag', 'danish', 'deepak', 'dev', 'devendra', 'dhruv', 'dilip', 'dinesh', 'faisal', 'farhan', 'gaurav', 'gautam', 'girish',
    'gopal', 'govind', 'hardik', 'hari', 'harsh', 'hemant', 'himanshu', 'hrithik', 'imran', 'irfan', 'ishaan', 'jatin', 'jay',
    'kabir', 'kamal', 'karan', 'karthik', 'kartik', 'kunal', 'lalit', 'lokesh', 'mahendra', 'mahesh', 'manish', 'manoj',
    'mayank', 'mohammed', 'mohan', 'mohit', 'mukesh', 'muhammad', 'naresh', 'naveen', 'nikhil', 'nilesh', 'nitin', 'om',
    'pankaj', 'parth', 'pawan', 'piyush', 'pradeep', 'prakash', 'pranav', 'prashant', 'prateek', 'praveen', 'prem', 'rahul',
    'raj', 'rajat', 'rajeev', 'rajesh', 'rajiv', 'raju', 'rakesh', 'ram', 'ramesh', 'ranbir', 'ranveer', 'ravi', 'rishabh', 'ritesh',
    'rohan', 'rohit', 'sachin', 'sagar', 'sahil', 'salman', 'sameer', 'sandeep', 'sanjay', 'sanjeev', 'satish', 'saurabh',
    'shahid', 'shahrukh', 'shantanu', 'shashank', 'shivam', 'shubham', 'siddharth', 'sourav', 'sudhir', 'sumit', 'sunil', 'suraj',
    'suresh', 'sushant', 'tarun', 'tushar', 'uday', 'umesh', 'varun', 'vicky', 'vijay', 'vikas', 'vikram', 'vinay', 'vineet', 'vinod',
    'vipul', 'virat', 'vishal', 'vivek', 'yash', 'yogesh', 'yusuf', 'zain', 'alexander', 'daniel', 'david', 'james', 'john', 'michael',
    'peter', 'robert', 'thomas', 'william',
]) }}{% endmacro %}
