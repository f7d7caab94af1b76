/**
 * The articles of the demo blog. The first ten make its front page.
 *
 * @module
 */

/** An article, and how many comments it starts with. */
export interface Article {
  readonly url: string;
  readonly title: string;
  /** The day it was published, as `YYYY-MM-DD`. */
  readonly date: string;
  readonly summary: string;
  readonly comments: number;
}

/** Newest first. */
export const ARTICLES: readonly Article[] = [
  {
    url: "/2017/golang-a-la-rescousse/",
    title: "Performance: Golang to the rescue",
    date: "2017-11-12",
    summary: "Ten counters a page, 250 readers at once. A hundred lines of Go take the load off Flask.",
    comments: 7,
  },
  {
    url: "/2017/an-afternoon-with-sanic/",
    title: "An afternoon with Sanic",
    date: "2017-10-29",
    summary: "Asynchronous Python and a small cache: three times the requests, the same application behind.",
    comments: 4,
  },
  {
    url: "/2017/measuring-before-guessing/",
    title: "Measuring before guessing",
    date: "2017-10-08",
    summary: "A load test of one minute says more than an evening of opinions, provided that it says what it measured.",
    comments: 11,
  },
  {
    url: "/2017/comments-without-a-giant/",
    title: "Comments without a giant",
    date: "2017-09-17",
    summary: "A static blog can have comments, and its readers need not be watched for it.",
    comments: 23,
  },
  {
    url: "/2017/sqlite-is-enough/",
    title: "SQLite is enough",
    date: "2017-08-20",
    summary: "One file, no server, backups with cp. What a small site gives up for that, and what it does not.",
    comments: 15,
  },
  {
    url: "/2017/a-certificate-in-five-minutes/",
    title: "A certificate in five minutes",
    date: "2017-07-02",
    summary: "HTTPS costs nothing any more. How to get there, and the renewal that you will otherwise forget.",
    comments: 9,
  },
  {
    url: "/2017/leaving-the-big-engine/",
    title: "Leaving the big engine",
    date: "2017-05-21",
    summary: "Four hundred articles turned into Markdown. What broke, and why the feed was the hardest part.",
    comments: 31,
  },
  {
    url: "/2017/the-smallest-vps/",
    title: "The smallest VPS",
    date: "2017-04-09",
    summary: "One core, half a gigabyte, and everything this site needs: a list of what runs there.",
    comments: 1,
  },
  {
    url: "/2017/feeds-are-alive/",
    title: "Feeds are alive",
    date: "2017-02-26",
    summary: "Half of you read this in a feed reader. Thank you, and here is the full text again.",
    comments: 12,
  },
  {
    url: "/2017/notes-from-january/",
    title: "Notes from January",
    date: "2017-01-30",
    summary: "Short notes: a keyboard, two books, and a bug that was there on Mondays only.",
    comments: 0,
  },
  {
    url: "/2016/backups-that-come-back/",
    title: "Backups that come back",
    date: "2016-12-18",
    summary: "A backup is what you have restored at least once.",
    comments: 6,
  },
  {
    url: "/2016/hello/",
    title: "Hello",
    date: "2016-11-27",
    summary: "A new blog, and what it will be about.",
    comments: 3,
  },
];
