// How far behind the server a player is, where the player does not know it by itself.

/// What is buffered, and not yet shown: all that HTTP-FLV is behind, but for the way to here.
export function ahead(video) {
  const { buffered } = video;
  return buffered.length === 0 ? null : Math.max(0, buffered.end(buffered.length - 1) - video.currentTime);
}

/// Milliseconds since 1970 at the end of a media playlist (RFC 8216, 4.3.2.6), or null if it has no dates.
function edge(playlist) {
  let date = null;
  for (const line of playlist.split("\n")) {
    const [, dated] = line.match(/^#EXT-X-PROGRAM-DATE-TIME:(.*)/) ?? [];
    const [, lasts] = line.match(/^#EXTINF:([\d.]+)/) ?? [];
    if (dated) date = Date.parse(dated);
    if (lasts && date !== null) date += Number(lasts) * 1000;
  }
  return Number.isNaN(date) ? null : date;
}

/// The delay of HLS that a browser plays by itself: by the dates of the playlist if it has such, else what is buffered.
export class HlsDelay {
  constructor(video, url) {
    Object.assign(this, { video, url, origin: Infinity });
  }

  /// In seconds; `now` is the server's clock in milliseconds.
  async delay(now) {
    const { video } = this;
    const buffered = ahead(video);
    if (buffered === null) return null;
    const response = await fetch(this.url, { cache: "no-store" });
    const date = response.ok ? edge(await response.text()) : null;
    if (date === null) return buffered;
    // The browser may not have fetched all of this playlist: the least that was seen is right.
    this.origin = Math.min(this.origin, date - (video.currentTime + buffered) * 1000);
    return Math.max(0, (now - this.origin) / 1000 - video.currentTime);
  }
}
