-- Rows as the release before 0025, 0030, 0031, 0040 and 0050 wrote them: what stood in the tables that those migrations touch.

-- Case 01: it kept what the registry gave before it parsed it.
insert into runtime.schema_id values (2000000001, '', '{"type": "object", "$schema": "http://json-schema.org/draft-07/schema#"}');

-- One of each state. The texts in braces are the keys of their identities, as they were reckoned.
insert into orders."order" (order_id, placement, source, reference, state, version, currency, total, charged, placed_at, ended_at, details, asked, ending, body_digest, body) values
('0192a0f0-0000-7000-8000-000000000001', '10000000-0000-5000-8000-000000000001', 'web', 'o-1', 'PENDING', 1, 'EUR', 2500, null, now() - interval '2 days', null,
 '{"thread":{"correlation_id":"c-1"},"terms":{"customer_id":"c-1","currency":"EUR","lines":[{"line_id":"1","sku":"TEA","quantity":2,"unit_price":1250,"amount":2500}],"subtotal":2500,"shipping":0,"discount":0,"tax":0,"total":2500}}',
 null, null, '20000000-0000-5000-8000-000000000001', '{"source":"web","reference":"o-1"}'),
('0192a0f0-0000-7000-8000-000000000002', '{rejected}', 'web', 'o-2', 'REJECTED', 1, null, null, null, now() - interval '2 days', now() - interval '2 days',
 '{"thread":{"correlation_id":"c-2"},"faults":[{"field":"/lines","code":"required","detail":"expected 1 to 500 lines, got 0"}]}',
 null, null, '20000000-0000-5000-8000-000000000002', '{"source":"web","reference":"o-2"}'),
('0192a0f0-0000-7000-8000-000000000003', '{completed}', 'web', 'o-3', 'COMPLETED', 2, 'EUR', 1250, 1250, now() - interval '2 days', now() - interval '2 days',
 '{"thread":{"correlation_id":"c-3","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},"terms":{"customer_id":"c-1","currency":"EUR","lines":[{"line_id":"1","sku":"TEA","quantity":1,"unit_price":1250,"amount":1250}],"subtotal":1250,"shipping":0,"discount":0,"tax":0,"total":1250}}',
 null, '{"charged":1250,"shipped":[{"line_id":"1","sku":"TEA","quantity":1}],"unshipped":[]}', '20000000-0000-5000-8000-000000000003', null);

insert into inventory.warehouse values ('a', 'Hall A', 1, 'DE');
insert into inventory.stock_level values ('TEA', 'a', 7, 3, 0, 4, null, null);

insert into notifications.message (order_id, event_id, channel, state, event_type, template, locale, recipient, subject, body, detail, at) values
('0192a0f0-0000-7000-8000-000000000001', '30000000-0000-5000-8000-000000000001', 'email', 'SENT', 'quadrille.orders.OrderAccepted', 'accepted', 'en', 'ada@example.com', 'Your order', 'Thank you', null, now() - interval '2 days'),
('0192a0f0-0000-7000-8000-000000000002', '30000000-0000-5000-8000-000000000002', 'email', 'FAILED', 'quadrille.orders.OrderRejected', 'rejected', 'en', null, null, null, 'no usable address', now() - interval '2 days');

insert into saga_tracker."order" (order_id, seen, rank, position, source, reference, customer_id, currency, total, placed_at, accepted_at, changed_at, deadline) values
('0192a0f0-0000-7000-8000-000000000001', 3, 10, 1024, 'web', 'o-1', 'c-1', 'EUR', 2500, now() - interval '2 days', now() - interval '2 days', now() - interval '2 days', now() - interval '1 day');

-- The runtime's tables, alike in every consumer's schema. What waits does so until 2100: the test looks at it where it lies.
do $rows$
declare
    consumer text;
begin
    foreach consumer in array array['orders', 'inventory', 'payments', 'fraud', 'fulfillment', 'notifications', 'saga_tracker'] loop
        execute format($sql$
            insert into %I.dead_letter (letter_id, topic, "partition", "offset", timestamp_ms, key, headers, payload, order_id, timer_kind, timer_discriminator,
                                        stage, error_class, message, loops, blocking, resolution, resolved_at, resolved_by, died_at) values
            -- Of a version that kept a place and a cause, no record.
            ('40000000-0000-5000-8000-000000000001', 'payments', 1, 100, null, null, null, null, null, null, null, null, 'unreadable', 'cut', 0, false, null, null, null, now() - interval '50 days'),
            -- A record, that died again after a person had it tried again.
            ('40000000-0000-5000-8000-000000000002', 'payments', 1, 101, 1793440800000, '\x6b', '', '\x00ff', null, null, null, 'decode', 'unreadable', 'cut', 0, false, 'died_again', now() - interval '1 day', 'eve', now() - interval '2 days'),
            ('40000000-0000-5000-8000-000000000003', 'payments', 1, 101, 1793440800000, '\x6b', '', '\x00ff', null, null, null, 'decode', 'unreadable', 'cut', 1, false, null, null, null, now() - interval '1 day'),
            -- A tombstone without a time.
            ('40000000-0000-5000-8000-000000000004', 'payments', 1, 102, null, null, '', null, null, null, null, 'decode', 'unreadable', 'no value', 0, false, null, null, null, now() - interval '2 days'),
            -- A timer.
            ('40000000-0000-5000-8000-000000000005', null, null, null, null, null, null, null, '0192a0f0-0000-7000-8000-000000000001', 'expiry', '', 'decide', 'conflict', 'no row', 0, false, null, null, null, now() - interval '2 days'),
            -- One that holds its lane, below.
            ('40000000-0000-5000-8000-000000000006', 'payments', 1, 103, 1793440800001, '\x6c', '', '\x01', null, null, null, 'save', 'busy', 'locked', 0, true, null, null, null, now() - interval '2 days')$sql$, consumer);
        execute format($sql$
            insert into %I.parked (lane, topic, "partition", "offset", timestamp_ms, key, headers, payload, parked_at, next_at, attempts,
                                   first_failed_at, last_failed_at, stage, error_class, message, loops, letter_id, dead_at, decided_by, skipped) values
            ('\x6c', 'payments', 1, 103, 1793440800001, '\x6c', '', '\x01', now() - interval '2 days', null, 8, now() - interval '2 days', now() - interval '2 days', 'save', 'busy', 'locked', 0,
             '40000000-0000-5000-8000-000000000006', now() - interval '2 days', null, false),
            ('\x6c', 'payments', 1, 104, 1793440800002, '\x6c', '', '\x02', now() - interval '2 days', null, 0, null, null, null, null, null, 0, null, null, null, false),
            -- Without a key: a lane of its own, named by its place.
            (convert_to(chr(1) || 'payments/1@105', 'UTF8'), 'payments', 1, 105, 1793440800003, null, '', '\x03', now() - interval '2 days', '2100-01-01', 1, now() - interval '2 days', now() - interval '2 days', 'save', 'busy', 'locked', 0,
             null, null, null, false),
            -- A person's word on a letter without a record.
            (convert_to(chr(1) || '40000000-0000-5000-8000-000000000005', 'UTF8'), null, null, null, null, '\x6d', '', null, now() - interval '2 days', '2100-01-01', 0, null, null, null, null, null, 0,
             '40000000-0000-5000-8000-000000000005', null, 'eve', true),
            -- Keys as long as the index took them if they could be compressed.
            (convert_to(repeat('k', 5000), 'UTF8'), 'payments', 1, 106, 1793440800004, convert_to(repeat('k', 5000), 'UTF8'), '', '\x04', now() - interval '2 days', '2100-01-01', 1, now() - interval '2 days', now() - interval '2 days', 'save', 'busy', 'locked', 0,
             null, null, null, false),
            (convert_to(repeat('k', 5000), 'UTF8'), 'payments', 1, 107, 1793440800005, convert_to(repeat('k', 5000), 'UTF8'), '', '\x05', now() - interval '2 days', null, 0, null, null, null, null, null, 0,
             null, null, null, false)$sql$, consumer);
    end loop;
end $rows$;
