-- What Insula keeps in each module's database. The log is outbox, event store, audit trail and projection feed.
create table insula_log (
  position integer primary key,
  stream text,
  stream_version integer,
  message_id text not null,
  kind text not null,
  type text not null,
  schema_version integer not null,
  key text,
  headers text not null,
  data text not null,
  time text not null
);
create unique index insula_log_stream on insula_log (stream, stream_version) where stream is not null;

-- A row for each message a consumer has taken; `answer` is repeated when the message comes again.
create table insula_inbox (
  consumer text not null,
  message_id text not null,
  source text not null,
  position integer not null,
  fingerprint text not null,
  outcome text not null,
  answer text not null,
  time text not null,
  primary key (consumer, message_id)
) without rowid;
create index insula_inbox_source on insula_inbox (source, position) where position > 0;
create index insula_inbox_called on insula_inbox (time) where position = 0;

-- A number is never used twice: it names a message to operators, and to a unit that runs again.
create table insula_parked (
  sequence integer primary key autoincrement,
  consumer text not null,
  source text not null,
  key text not null,
  message_id text not null,
  envelope text not null,
  attempts integer not null,
  due text not null,
  state text not null,
  error text not null,
  since text not null,
  unique (consumer, message_id)
);
create index insula_parked_key on insula_parked (consumer, source, key, sequence);

-- `sequence` is the order in which timers were set, which those that are due at once keep.
create table insula_timer (
  sequence integer primary key,
  identifier text not null unique,
  due text not null,
  schedule text not null,
  envelope text not null
);
create index insula_timer_due on insula_timer (due);

create table insula_cursor (name text primary key, position integer not null) without rowid;

create table insula_meta (name text primary key, value text not null) without rowid;
