"""The demo's tenant: rows of every kind, all of one partner, once."""

import msgspec

from gcc.clock import SystemClock
from gcc.config import Settings
from gcc.pipelines.events.schemas import PostLog, SentimentLog
from gcc.pipelines.scraping import demo
from gcc.stores.postgres import Pool

TABLES = {name for name in demo._SQL if name not in ("ours", "followed", "contract", "usage", "liked")} | {
    "partner_contract",
    "partner_usage",
}


CLOCK = SystemClock()


async def crawled(pool: Pool) -> None:
    async with pool.connection() as connection:
        await connection.execute(
            "insert into instagram_account (id, profile_id, handle, followers, source, scraped_at)"
            " select gen_random_uuid(), 'i' || n, 'n' || n, n * 1000, 's', now() from generate_series(1, 20) n"
        )
        await connection.execute(
            "insert into youtube_account (id, channel_id, handle, subscribers, source, scraped_at)"
            " select gen_random_uuid(), 'y' || n, '@n' || n, n * 1000, 's', now() from generate_series(1, 20) n"
        )
        await connection.execute(
            "insert into instagram_post"
            " (post_id, shortcode, profile_id, likes, hashtags, publish_time, source, scraped_at)"
            " select n, 'c' || n, 'i' || (1 + n % 20), n, array['tag' || n % 3],"
            " now() - n * interval '1 hour', 's', now()"
            " from generate_series(1, 200) n"
        )


async def test_every_table_has_rows_of_one_tenant_and_twice_is_once(pool: Pool) -> None:
    await crawled(pool)
    added = await demo.seed(pool, CLOCK)
    assert await demo.seed(pool, CLOCK) == {"rows": 0}
    async with pool.connection() as connection:
        for table in TABLES:
            partner = "1" if table == "curated_account" else "partner_id"
            rows = await (await connection.execute(f"select {partner} from {table}".encode())).fetchall()  # noqa: S608
            assert {partner for (partner,) in rows} == {1}, table
        prices = await (await connection.execute("select price, handle from campaign_profiles")).fetchall()
        links = await (await connection.execute("select profile_id, linked_profile_id from social_link")).fetchall()
        events = await (await connection.execute("select body, events, counted from outbox order by id")).fetchall()
        ((keywords,),) = await (await connection.execute("select keywords from keyword_collection")).fetchall()
    assert len(prices) == 30 and all(price > 0 for price, _ in prices), "enough for a bucket's median"
    assert len(links) == 4 and all(here[1:] == there[1:] for here, there in links), "who is called alike"
    assert [counted for _, *counted in events] == [[1, 0], [4, 0]], "and nobody misses them"
    reading = msgspec.json.decode(bytes(events[0][0]), type=PostLog)
    judged = [msgspec.json.decode(line, type=SentimentLog) for line in bytes(events[1][0]).split(b"\n")]
    assert {(each.profile_id, each.shortcode) for each in judged} == {("i20", "c59")}
    assert (reading.profile_id, reading.shortcode, reading.metrics) == ("i20", "c59", {"likes": 59 * 5 // 4 + 10})
    assert sorted(keywords) == ["tag0", "tag1", "tag2"]
    assert (added["profile_collection_item"], added["post_collection_item"]) == (30, 45)


async def test_if_nobody_is_called_alike_one_link_is_made(pool: Pool) -> None:
    await crawled(pool)
    async with pool.connection() as connection:
        await connection.execute("update youtube_account set handle = 'other' || channel_id")
    assert (await demo.seed(pool, CLOCK))["social_link"] == 1


async def test_an_empty_platform_gets_an_empty_demo(pool: Pool) -> None:
    assert (await demo.seed(pool, CLOCK))["rows"] > 0


def test_it_is_off_unless_it_is_switched_on() -> None:
    assert Settings().demo is False
