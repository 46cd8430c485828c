-- Deliveries of an endpoint are read by when they came.
drop index webhook_delivery_listed;
create index webhook_delivery_listed on webhook_delivery (partner_id, endpoint_id, created_at desc, id desc);
