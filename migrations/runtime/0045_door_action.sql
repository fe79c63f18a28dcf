-- What people and programs did through the doors of consumers: who (by their key), what, when, why, and what was answered. Kept for good.
create table runtime.door_action (
    action_id uuid        primary key, -- UUIDv7: later ones are greater
    at        timestamptz not null,
    consumer  text        not null,
    who       text        not null, -- the key's name; `local` where no keys are set
    role      text        not null,
    what      text        not null, -- method and path as documented; `reveal …` where personal data was shown
    subject   text        not null, -- the path as it was called
    why       text,
    status    integer               -- what was answered; null: begun, and it is not known how it went
);
