// A transcript that can be edited: lines of tokens, each with its time. A token is a character, a Latin word or a number.

export const UNSURE = 0.5; // below this probability a token is marked
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff01-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
// A unit of typed text: a character that is written without spaces, or a run of others with the signs that belong to it.
const UNIT = /[\p{Ps}\p{Pi}]*(?:[\u2e80-\u2fff\u3005-\u3007\u3040-\ua4cf\uac00-\ud7a3\uf900-\ufaff\u{20000}-\u{3fffd}]|[\p{Sc}+−#@-]?(?:(?![\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\u{20000}-\u{3fffd}])[\p{L}\p{N}\p{M}])+(?:['’.,:/&_-](?![\u2e80-\ua4cf])[\p{L}\p{N}]+)*[%‰°℃+#]*)/gu;

// Whether a space stands between a text and what follows, as Mandarin is written.
export const parted = (before, after) => (
  Boolean(before && after) && !WIDE.test([...before.slice(-2)].at(-1)) && !WIDE.test([...after.slice(0, 2)][0]));

export function joined(tokens) {
  const parts = [];
  let before = "";
  for (const token of tokens) {
    parts.push(parted(before, token.text) ? " " : "", token.text, token.mark);
    before = token.text + token.mark;
  }
  return parts.join("");
}

// Tokens for words with times, given the text that they make up with punctuation; `sure`: their probabilities.
export function tokensOf(text, words, sure) {
  let at = 0;
  const tokens = words.map(({ word, start, end }, i) => {
    const found = Math.max(text.indexOf(word, at), at);
    const before = text.slice(at, found).trim();
    at = found + word.length;
    return { text: word, mark: "", before, start, end, confidence: sure[i] };
  });
  tokens.forEach((token, i) => { token.mark = i + 1 < tokens.length ? tokens[i + 1].before : text.slice(at).trim(); });
  for (const token of tokens) delete token.before;
  return tokens;
}

export class Transcript {
  constructor(name, duration, lines, warnings = []) {
    Object.assign(this, { name, duration, lines, warnings, before: [], names: {} });
    this.speakers = [...new Set(lines.map(({ speaker }) => speaker).filter(Boolean))];
    this.original = this.text;
  }

  // Of an answer in verbose_json with words and logprobs, which are as many.
  static ofAnswer(name, answer) {
    let at = 0;
    const lines = answer.segments.map(({ start, end, text, speaker = "" }) => {
      const until = wordsWithin(text, answer.words, at);
      const sure = answer.logprobs.slice(at, until).map(({ logprob }) => Math.exp(logprob));
      const tokens = tokensOf(text, answer.words.slice(at, until), sure);
      at = until;
      return { start, end, tokens, speaker };
    });
    return new Transcript(name, answer.duration, lines, answer.warnings);
  }

  // Of utterances of a live session, as they were completed.
  static ofUtterances(name, duration, utterances) {
    const lines = utterances.map(({ transcript, words, start, end }) => (
      { start, end, tokens: tokensOf(transcript, words, words.map(({ confidence }) => confidence)) }));
    return new Transcript(name, duration, lines);
  }

  get text() {
    return joined(this.lines.flatMap((line) => line.tokens));
  }

  get edited() {
    return this.text !== this.original;
  }

  // What one who speaks is called: by the name that was typed, else S1, S2 … as the server does; "" where nobody is known.
  called(speaker) {
    return this.names[speaker] || (speaker ?? "");
  }

  get named() {
    return Object.values(this.names).some(Boolean);
  }

  // The text to be read: where it is known who speaks, a line for each turn.
  get written() {
    if (!this.speakers.length) return this.text;
    const turns = [];
    for (const { speaker, tokens } of this.lines.filter((line) => line.tokens.length)) {
      const who = this.called(speaker);
      if (turns.at(-1)?.who === who) turns.at(-1).tokens.push(...tokens);
      else turns.push({ who, tokens: [...tokens] });
    }
    return turns.map(({ who, tokens }) => (who ? `${who}: ${joined(tokens)}` : joined(tokens))).join("\n");
  }

  get unsure() {
    return this.lines.flatMap((line) => line.tokens).filter(({ confidence }) => confidence < UNSURE).length;
  }

  // As the server is sent it, to render it.
  sent() {
    const segments = this.lines.filter(({ tokens }) => tokens.length).map(({ start, end, tokens, speaker }) => (
      { start, end, tokens: tokens.map((token) => ({ ...token, speaker: this.called(speaker) })) }));
    return { name: this.name, duration: this.duration, edited: this.edited, segments };
  }

  // Writes a line anew; whether that changes anything.
  edit(number, text) {
    const line = this.lines[number];
    const tokens = retimed(line, text);
    if (joined(tokens) === joined(line.tokens)) return false;
    this.before.push([number, line]);
    this.lines[number] = { ...line, tokens };
    return true;
  }

  // Takes the last edit back; the line that it was, or null where there was none.
  undo() {
    if (!this.before.length) return null;
    const [number, line] = this.before.pop();
    this.lines[number] = line;
    return number;
  }
}

// How many of the words, from `at` on, a text holds.
function wordsWithin(text, words, at) {
  let place = 0;
  while (at < words.length) {
    const found = text.indexOf(words[at].word, place);
    if (found < 0 || /[\p{L}\p{N}]/u.test(text.slice(place, found))) break;
    place = found + words[at].word.length;
    at += 1;
  }
  return at;
}

// Typed text as tokens without times. What `known` tokens hold is one token in it, too: 23.5% and the like.
export function units(text, known = []) {
  const whole = known.map((token) => token.text).filter((one) => one.match(UNIT)?.[0] !== one);
  const unit = new RegExp([...whole.map((one) => `${escaped(one)}(?![A-Za-z0-9])`), UNIT.source].join("|"), "gu");
  const found = [...text.matchAll(unit)];
  return found.map((match, i) => {
    const end = match.index + match[0].length;
    const before = i ? "" : text.slice(0, match.index).trim();
    const mark = text.slice(end, found[i + 1]?.index).trim().replace(/\s+/g, " ");
    return { text: before + match[0], mark };
  });
}

const escaped = (text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");

// Tokens of a line for a text that was typed in its place. What was there before keeps its time and probability; what is new
// shares the time of what it replaces, or of its neighbour, and is sure.
function retimed(line, typed) {
  const old = line.tokens;
  const fresh = units(typed, old);
  const same = (a, b) => a.text === b.text;
  const kept = common(old, fresh, same);
  const tokens = [];
  let [from, at] = [0, 0];
  for (const [i, j] of [...kept, [old.length, fresh.length]]) {
    tokens.push(...between(tokens.at(-1), old.slice(from, i), fresh.slice(at, j), line));
    if (i < old.length) tokens.push({ ...old[i], mark: fresh[j].mark });
    [from, at] = [i + 1, j + 1];
  }
  return leadingTimed(tokens);
}

// What was typed in the place of some tokens.
function between(previous, replaced, fresh, line) {
  if (!fresh.length) return [];
  let [start, end] = replaced.length ? [replaced[0].start, replaced.at(-1).end] : [null, null];
  if (start === null && previous) { // it shares its neighbour's time
    end = previous.end;
    const share = (end - previous.start) / (fresh.length + 1);
    start = previous.end = previous.start + share;
  }
  if (start === null && !line.tokens.length) [start, end] = [line.start, line.end];
  return fresh.map((token, n) => ({
    ...token,
    start: start === null ? null : start + ((end - start) * n) / fresh.length,
    end: start === null ? null : start + ((end - start) * (n + 1)) / fresh.length,
    confidence: 1,
  }));
}

// Times for what was typed before the first token: a share of that one's.
function leadingTimed(tokens) {
  const first = tokens.findIndex(({ start }) => start !== null);
  if (first <= 0) return tokens;
  const { start, end } = tokens[first];
  const share = (end - start) / (first + 1);
  return tokens.map((token, i) => (i > first ? token
    : { ...token, start: start + share * i, end: i === first ? end : start + share * (i + 1) }));
}

// Pairs of places at which two lists agree, as many as there can be, in order.
function common(a, b, same) {
  let head = 0;
  while (head < a.length && head < b.length && same(a[head], b[head])) head += 1;
  let tail = 0;
  while (tail < a.length - head && tail < b.length - head && same(a[a.length - 1 - tail], b[b.length - 1 - tail])) tail += 1;
  const [n, m] = [a.length - head - tail, b.length - head - tail];
  const most = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1));
  for (let i = n - 1; i >= 0; i -= 1) {
    for (let j = m - 1; j >= 0; j -= 1) {
      most[i][j] = same(a[head + i], b[head + j]) ? most[i + 1][j + 1] + 1 : Math.max(most[i + 1][j], most[i][j + 1]);
    }
  }
  const pairs = Array.from({ length: head }, (_, i) => [i, i]);
  for (let i = 0, j = 0; i < n && j < m;) {
    if (same(a[head + i], b[head + j])) pairs.push([head + i++, head + j++]);
    else if (most[i + 1][j] >= most[i][j + 1]) i += 1;
    else j += 1;
  }
  for (let i = tail; i > 0; i -= 1) pairs.push([a.length - i, b.length - i]);
  return pairs;
}
