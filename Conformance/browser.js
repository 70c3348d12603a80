// What a page of anybody's would do to follow a channel: the browser's own WebSocket and EventSource, and the cursor.
// `browser.py` runs it in a page and reads `followers`.
"use strict";

class Follower {
  constructor(url, channel) {
    this.url = url;
    this.channel = channel;
    this.seen = [];        // [partition, offset, n]
    this.cursor = null;
    this.answers = 0;      // Connections that were taken.
    this.missed = 0;       // Answers that were not `recovered`.
    this.refused = [];
  }

  take(push) {
    for (const record of push.records ?? []) this.seen.push([record.partition, record.offset, record.value.n]);
    if (push.cursor) this.cursor = push.cursor;
  }

  again() { setTimeout(() => this.open(), 100 + Math.random() * 400); }
}

class SocketFollower extends Follower {
  open() {
    const socket = new WebSocket(`ws://${this.url}/v1/ws`, "apus.v1.json");
    let heard = performance.now();
    // A network that is gone says nothing: what is not answered within two seconds is no connection.
    const watch = setInterval(() => {
      if (performance.now() - heard > 2000) return over();
      if (socket.readyState === WebSocket.OPEN) socket.send(`{"id":9,"op":"ping"}`);
    }, 500);
    const over = () => {
      clearInterval(watch);
      socket.onmessage = socket.onclose = null;
      socket.close();
      this.again();
    };
    socket.onopen = () => {
      this.answers += 1;
      socket.send(`{"id":1,"op":"connect"}`);
      const from = this.cursor ? { cursor: this.cursor } : { from: "earliest" };
      socket.send(JSON.stringify({ id: 2, op: "subscribe", channel: this.channel, ...from }));
    };
    socket.onmessage = (message) => {
      heard = performance.now();
      for (const line of message.data.split("\n").filter(Boolean)) {
        const said = JSON.parse(line);
        if (said.error) this.refused.push(said.error.code);
        if (said.id === 2 && said.ok) {
          this.cursor = said.ok.cursor;
          if (!said.ok.recovered) this.missed += 1;
        }
        this.take(said);
      }
    };
    socket.onclose = over;
  }
}

class StreamFollower extends Follower {
  open() {
    const start = this.cursor ? `last_event_id=${encodeURIComponent(this.cursor)}` : "from=earliest";
    const stream = new EventSource(`http://${this.url}/v1/stream?channel=${this.channel}&${start}`);
    stream.onopen = () => { this.answers += 1; };
    stream.addEventListener("subscribed", (event) => {
      if (!JSON.parse(event.data).recovered) this.missed += 1;
    });
    stream.onmessage = (event) => {
      this.take(JSON.parse(event.data));
      if (event.lastEventId) this.cursor = event.lastEventId;
    };
    // The browser comes back by itself, with Last-Event-ID; only after an answer that is no stream it does not.
    stream.onerror = () => {
      if (stream.readyState !== EventSource.CLOSED) return;
      stream.onerror = stream.onmessage = null;
      this.again();
    };
  }
}

window.followers = {
  socket: new SocketFollower(location.host, "CHANNEL"),
  stream: new StreamFollower(location.host, "CHANNEL"),
};
for (const follower of Object.values(followers)) follower.open();
