-- A relay asks for what became visible since a snapshot: for transactions. With the shard before them in the key that was a probe of the index for each
-- shard of each slot, 32 a poll; without it is one a slot, and appenders write at one end of the index.
alter table outbox.event drop constraint event_pkey;
alter table outbox.event add primary key (slot, xid, seq);

-- Said by the partitions' bounds already; each statement that appends parses a check anew.
alter table outbox.event drop constraint event_slot_check;
