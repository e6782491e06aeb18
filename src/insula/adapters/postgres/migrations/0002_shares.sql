-- What a fence looks at, apart from the lease itself: that is renewed all the time, and a serializable transaction that
-- is older than a renewal could never lock it.
create table insula_fence_token (name text primary key, token bigint not null);
insert into insula_fence_token select name, token from insula_lease;

-- The processes that are there, in the order in which they came. Processes of another `kind` do not share work.
create table insula_process (
  holder text primary key,
  kind text not null,
  came bigint generated always as identity,
  until timestamptz not null
);

create or replace function insula_fence(lease text, holding bigint) returns void language plpgsql as $$
begin
    perform 1 from insula_fence_token where name = lease and token = holding for share;
    if not found then
        raise exception 'another process has taken the lease %', lease using errcode = 'IN001';
    end if;
end
$$;

-- A lease for a holder, where it is free, has run out, or is the holder's already; no row while another has it. One that
-- asks again gets a new token too: it cannot know what it did before it forgot.
create function insula_take_lease(lease text, taker text, seconds double precision)
returns table (taken bigint, ends timestamptz) language plpgsql as $$
begin
    insert into insula_lease as l (name, holder, token, until)
        values (lease, taker, 1, clock_timestamp() + make_interval(secs => seconds))
        on conflict (name) do update set holder = excluded.holder, token = l.token + 1, until = excluded.until
        where l.until < clock_timestamp() or l.holder = excluded.holder
        returning l.token, l.until into taken, ends;
    if found then
        insert into insula_fence_token values (lease, taken)
            on conflict (name) do update set token = excluded.token;
        return next;
    end if;
end
$$;

-- Says that a process is there for so many seconds, or with 0 that it counts no more; returns all that count, in the
-- order in which they came. Those that left without a word are forgotten after an hour.
create function insula_be_present(who text, what text, seconds double precision)
returns table (process text, its_kind text) language plpgsql as $$
begin
    delete from insula_process
        where holder = who and (seconds <= 0 or until < clock_timestamp()) or until < clock_timestamp() - interval '1 hour';
    if seconds > 0 then
        insert into insula_process (holder, kind, until)
            values (who, what, clock_timestamp() + make_interval(secs => seconds))
            on conflict (holder) do update set kind = excluded.kind, until = excluded.until;
    end if;
    return query select p.holder, p.kind from insula_process as p where p.until >= clock_timestamp() order by p.came;
end
$$;
