-- What is done by people and programs of a partner. See gcc/stores/activities.py.

-- name: add
-- With its event: one message to the server instead of two.
with told as ({put_outbox})
insert into activity_tracker (id, partner_id, account_id, user_id, key_id, activity_type, thing_id, request_id, metadata)
values (%(id)s, %(partner_id)s, %(account_id)s, %(user_id)s, %(key_id)s, %(type)s, %(thing_id)s, %(request_id)s,
        %(metadata)s);
