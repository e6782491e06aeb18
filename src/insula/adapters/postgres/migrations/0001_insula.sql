-- What Insula keeps in each module's database. The log is outbox, event store, audit trail and projection feed.
create table insula_log (
  position bigint primary key,
  stream text,
  stream_version bigint,
  message_id text not null,
  kind text not null,
  type text not null,
  schema_version integer not null,
  key text,
  headers text not null,
  data text not null,
  time timestamptz not null
);
create unique index insula_log_stream on insula_log (stream, stream_version) where stream is not null;

-- What units have committed beside their own rows and nobody has numbered yet. It moves on to the log within moments.
create table insula_outgoing (
  id bigint generated always as identity primary key,
  message_id text not null,
  kind text not null,
  type text not null,
  schema_version integer not null,
  key text,
  headers text not null,
  data text not null,
  time timestamptz not null
);

-- A row for each message a consumer has taken; `answer` is repeated when the message comes again.
create table insula_inbox (
  consumer text not null,
  message_id text not null,
  source text not null,
  position bigint not null,
  fingerprint text not null,
  outcome text not null,
  answer text not null,
  time timestamptz not null,
  primary key (consumer, message_id)
);
create index insula_inbox_source on insula_inbox (source, position) where position > 0;
create index insula_inbox_called on insula_inbox (time) where position = 0;

create table insula_parked (
  sequence bigint generated always as identity primary key,
  consumer text not null,
  source text not null,
  key text not null,
  message_id text not null,
  envelope text not null,
  attempts integer not null,
  due timestamptz not null,
  state text not null,
  error text not null,
  since timestamptz not null,
  unique (consumer, message_id)
);
create index insula_parked_key on insula_parked (consumer, source, key, sequence);

-- `sequence` is the order in which timers were set, which those that are due at once keep.
create table insula_timer (
  sequence bigint generated always as identity,
  identifier text primary key,
  due timestamptz not null,
  schedule text not null,
  envelope text not null
);
create index insula_timer_due on insula_timer (due);

create table insula_cursor (name text primary key, position bigint not null);

create table insula_lease (
  name text primary key,
  holder text not null,
  token bigint not null,
  until timestamptz not null
);

create table insula_meta (name text primary key, value text not null);

-- The end of a unit with rows of its own. It holds its keys until its commit is over, so that rows of one key are
-- taken from the sequence in the order of their commits. The locks are the last ones that the unit takes.
-- Refuses what is done on the strength of a lease that somebody else has taken since. The lock lasts until the end of
-- the transaction, so that nobody takes it in between.
create function insula_fence(lease text, holding bigint) returns void language plpgsql as $$
begin
    perform 1 from insula_lease where name = lease and token = holding for share;
    if not found then
        raise exception 'another process has taken the lease %', lease using errcode = 'IN001';
    end if;
end
$$;

create function insula_stage(
  _ids text[], _kinds text[], _types text[], _versions integer[], _keys text[],
  _headers text[], _data text[], _times timestamptz[]
) returns void language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended(k.key, 1))
    from (select distinct u.key from unnest(_keys) as u(key) where u.key is not null order by 1) as k;
  insert into insula_outgoing (message_id, kind, type, schema_version, key, headers, data, time)
    select u.id, u.kind, u.type, u.version, u.key, u.headers, u.data, u.time
    from unnest(_ids, _kinds, _types, _versions, _keys, _headers, _data, _times)
      with ordinality as u(id, kind, type, version, key, headers, data, time, place)
    order by u.place;
end $$;

-- Numbers first what units have committed, then the given rows, which are in no transaction of their own. One
-- transaction at a time does this, so positions have no gaps and never change; it must be READ COMMITTED, where each
-- statement sees what was committed before the lock was given.
create function insula_append(
  _ids text[], _kinds text[], _types text[], _versions integer[], _keys text[],
  _headers text[], _data text[], _times timestamptz[],
  out head bigint, out moved bigint, out moved_types text[]
) language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended('insula_log', 0));
  select coalesce(max(l.position), 0) into head from insula_log as l;
  with gone as (
    delete from insula_outgoing returning *
  ), kept as (
    insert into insula_log (position, message_id, kind, type, schema_version, key, headers, data, time)
      select head + row_number() over (order by g.id), g.message_id, g.kind, g.type, g.schema_version, g.key,
        g.headers, g.data, g.time
      from gone as g
      returning type
  )
  select count(*), array_agg(distinct k.type) into moved, moved_types from kept as k;
  head := head + moved;
  insert into insula_log (position, message_id, kind, type, schema_version, key, headers, data, time)
    select head + u.place, u.id, u.kind, u.type, u.version, u.key, u.headers, u.data, u.time
    from unnest(_ids, _kinds, _types, _versions, _keys, _headers, _data, _times)
      with ordinality as u(id, kind, type, version, key, headers, data, time, place);
  head := head + coalesce(cardinality(_ids), 0);
end $$;
