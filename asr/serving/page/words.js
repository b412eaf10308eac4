// What the page says, in English and Chinese, and where it says it.

export const WORDS = {
  en: {
    skip: "To the content",
    title: "Mandarin speech to text",
    model: "model {name}",
    what: "What to do",
    recordings: "Recordings",
    live: "Live captions",
    inspect: "Inspect",
    other_language: "中文",
    change_language: "中文界面",
    theme_auto: "Auto",
    theme_light: "Light",
    theme_dark: "Dark",
    change_theme: "Light or dark",
    key: "Key",
    key_title: "This server asks for a key",
    key_about: "It was started with --key. The key stays in this tab, and is forgotten with it.",
    key_wrong: "The server does not know this key.",
    key_ok: "Use it",
    cancel: "Cancel",
    drop: "Drop recordings here",
    choose: "Choose files",
    record: "Record",
    stop_recording: "Stop · {time}",
    stays: "Recordings go to this server and nowhere else. Nothing is kept once this tab is closed.",
    level: "Loudness of the microphone",
    words_label: "Names and terms to listen for",
    words_hint: "parted by commas, for example 张晓明, 李四",
    people: "Who speaks",
    people_none: "is not asked",
    people_auto: "any number of people",
    people_number: "a known number",
    people_missing: "This server cannot tell voices apart: the extra “speakers” is not installed there.",
    people_wrong: "How many people speak must be a number, or a range such as 2-5.",
    how_many: "How many",
    how_many_hint: "2 or 2-5",
    names: "Names of those who speak",
    name_of: "Name of {speaker}",
    jobs: "Recordings",
    waiting_here: "waits for the one before it",
    sending: "being sent, {percent} %",
    waiting: "the server listens",
    hearing: "heard up to {time}",
    hearing_of: "heard {time} of {length}",
    busy: "the server is busy; once more in {seconds} s",
    done: "{characters} characters",
    edited: "{characters} characters, edited",
    nothing: "no speech was found",
    stopped: "stopped",
    show: "Show {name}",
    remove: "Remove {name}",
    progress: "Progress of {name}",
    again: "Try again",
    stop: "Stop",
    recording_name: "recording",
    live_name: "captions",
    playback: "Playback",
    play: "Play",
    pause: "Pause",
    position: "Position in the recording",
    speed: "Speed",
    unplayable: "This browser cannot play recordings of this kind. The text and its times are right all the same.",
    next_unsure: "Next unsure place ({n})",
    none_unsure: "No unsure places",
    unsure: "{text}: {percent} % sure",
    undo: "Undo",
    copy: "Copy",
    copied: "copied",
    download: "Download",
    go_there: "Click a character to go there.",
    keys: "Keys: ← → ↑ ↓ move, Enter goes there, Space plays, N next unsure place, E edits the line.",
    text: "Text of the recording",
    edit: "Edit this line",
    editing: "Line from {time}; Enter keeps it, Escape leaves it as it was",
    from: "From {time}",
    empty_line: "(empty)",
    compare: "Share of errors (CER)",
    reference: "What was really said",
    reference_hint: "Paste the right text here",
    count: "Count the errors",
    rule_numbers: "30% counts as 百分之三十",
    rule_script: "traditional counts as simplified",
    cer: "CER {rate} %",
    cer_infinite: "CER ∞",
    cer_counts: "{s} wrong, {d} missing, {i} too much, of {n} characters",
    cer_recognised: "as recognised",
    cer_edited: "as edited",
    cer_key: "Above what was said, below what is in the text.",
    wrong: "wrong: {said} became {written}",
    missing: "missing: {said}",
    extra: "too much: {written}",
    listen: "Start listening",
    stop_listening: "Stop",
    connecting: "connecting …",
    listening: "listening",
    finishing: "finishing …",
    size: "Size",
    fill: "Fill the screen",
    captions: "Captions",
    captions_hint: "What is said appears here while it is said.",
    keep: "Open as a text, with its sound",
    session_ended: "The session ended: {reason}",
    slow: "the connection is slow: text comes late",
    inspect_drop: "See how a short clip becomes text",
    inspect_about: "Up to 30 seconds: what the encoder hears, where the decoder looks, and what else it might have written.",
    choose_clip: "Choose a clip",
    inspect_open: "The recording that is open",
    inspecting: "The model is being watched …",
    inspect_missing: "This server cannot inspect clips.",
    inspect_title: "How {name} became text",
    save_page: "Download the page",
    lost: "The connection to the server is lost.",
    refused: "The server says: {message}",
    insecure: "Browsers give the microphone only to pages over https, or at localhost.",
    denied: "This page was not allowed to use the microphone; its permission is beside the address.",
    no_microphone: "There is no microphone.",
    microphone_failed: "The microphone cannot be used: {message}",
    microphone_gone: "The microphone was unplugged.",
  },
  zh: {
    skip: "跳到正文",
    title: "普通话语音转文字",
    model: "模型 {name}",
    what: "功能",
    recordings: "录音转写",
    live: "实时字幕",
    inspect: "解析",
    other_language: "EN",
    change_language: "English",
    theme_auto: "自动",
    theme_light: "浅色",
    theme_dark: "深色",
    change_theme: "浅色或深色",
    key: "密钥",
    key_title: "此服务器需要密钥",
    key_about: "服务器启动时设置了 --key。密钥只留在本标签页中，关闭即忘。",
    key_wrong: "服务器不认得这个密钥。",
    key_ok: "使用",
    cancel: "取消",
    drop: "把录音拖到这里",
    choose: "选择文件",
    record: "录音",
    stop_recording: "停止 · {time}",
    stays: "录音只发送到这台服务器。关闭本标签页后，什么都不保留。",
    level: "麦克风音量",
    words_label: "可能出现的人名和术语",
    words_hint: "用逗号隔开，例如：张晓明，李四",
    people: "说话人",
    people_none: "不区分",
    people_auto: "人数不限",
    people_number: "已知人数",
    people_missing: "这台服务器不能区分说话人：服务器上没有安装相应的组件。",
    people_wrong: "人数应为一个数，或一个范围，例如 2-5。",
    how_many: "人数",
    how_many_hint: "2 或 2-5",
    names: "说话人的名字",
    name_of: "{speaker} 的名字",
    jobs: "录音",
    waiting_here: "等待前一个完成",
    sending: "正在发送，{percent}%",
    waiting: "服务器正在听",
    hearing: "已听到 {time}",
    hearing_of: "已听 {time} / {length}",
    busy: "服务器正忙，{seconds} 秒后重试",
    done: "{characters} 字",
    edited: "{characters} 字，已修改",
    nothing: "没有听到人声",
    stopped: "已停止",
    show: "查看 {name}",
    remove: "移除 {name}",
    progress: "{name} 的进度",
    again: "重试",
    stop: "停止",
    recording_name: "录音",
    live_name: "字幕",
    playback: "播放",
    play: "播放",
    pause: "暂停",
    position: "播放位置",
    speed: "速度",
    unplayable: "浏览器无法播放这种录音；文字和时间不受影响。",
    next_unsure: "下一处不确定（{n}）",
    none_unsure: "没有不确定之处",
    unsure: "{text}：把握 {percent}%",
    undo: "撤销",
    copy: "复制",
    copied: "已复制",
    download: "下载",
    go_there: "点一个字，就跳到那里。",
    keys: "按键：← → ↑ ↓ 移动，回车跳转，空格播放，N 下一处不确定，E 修改这一行。",
    text: "录音的文字",
    edit: "修改这一行",
    editing: "{time} 起的一行；回车保存，Esc 放弃",
    from: "从 {time} 起",
    empty_line: "（空）",
    compare: "错误率（CER）",
    reference: "实际说的内容",
    reference_hint: "把正确的文字贴在这里",
    count: "计算错误率",
    rule_numbers: "30% 等同于 百分之三十",
    rule_script: "繁体等同于简体",
    cer: "CER {rate}%",
    cer_infinite: "CER ∞",
    cer_counts: "错 {s}，漏 {d}，多 {i}，共 {n} 字",
    cer_recognised: "识别结果",
    cer_edited: "修改之后",
    cer_key: "上行是实际说的，下行是文字里的。",
    wrong: "错：{said} 写成 {written}",
    missing: "漏：{said}",
    extra: "多：{written}",
    listen: "开始听",
    stop_listening: "停止",
    connecting: "正在连接……",
    listening: "正在听",
    finishing: "即将完成……",
    size: "字号",
    fill: "全屏",
    captions: "字幕",
    captions_hint: "说话时，文字会出现在这里。",
    keep: "连同声音打开为文稿",
    session_ended: "会话已结束：{reason}",
    slow: "网络较慢，文字会迟到",
    inspect_drop: "看一段短录音如何变成文字",
    inspect_about: "不超过 30 秒：编码器听到什么，解码器看向哪里，还可能写成什么。",
    choose_clip: "选择一段录音",
    inspect_open: "已打开的录音",
    inspecting: "正在观察模型……",
    inspect_missing: "这台服务器不能解析录音。",
    inspect_title: "{name} 如何变成文字",
    save_page: "下载此页",
    lost: "与服务器的连接断开了。",
    refused: "服务器的答复：{message}",
    insecure: "浏览器只允许 https 页面或 localhost 使用麦克风。",
    denied: "麦克风未获许可；可在地址栏旁更改。",
    no_microphone: "没有麦克风。",
    microphone_failed: "麦克风无法使用：{message}",
    microphone_gone: "麦克风已拔出。",
  },
};

export let language = remembered("language") ?? (navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en");
const values = new WeakMap();

// What was chosen on this page before; null where the browser keeps nothing.
export function remembered(name) {
  try { return localStorage.getItem(`asr.${name}`); } catch { return null; }
}

export function remember(name, value) {
  try { localStorage.setItem(`asr.${name}`, value); } catch { /* it is asked again next time */ }
}

export function t(key, fields = {}) {
  return WORDS[language][key].replace(/{(\w+)}/g, (all, name) => String(fields[name] ?? all));
}

// Puts a message into a node, which follows the language from then on.
export function say(node, key, fields = {}) {
  if (key) node.dataset.t = key;
  else delete node.dataset.t;
  values.set(node, fields);
  node.textContent = key ? t(key, fields) : "";
}

// The same for its name, which screen readers say and a pointer shows.
export function call(node, key, fields = {}) {
  node.dataset.tLabel = key;
  values.set(node, fields);
  name(node);
}

function name(node) {
  const text = t(node.dataset.tLabel, values.get(node));
  node.setAttribute("aria-label", text);
  if (node.matches("button, input, select, span")) node.title = text;
}

export function speak(chosen = language) {
  language = chosen;
  document.documentElement.lang = chosen === "zh" ? "zh-CN" : "en";
  document.title = t("title");
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t, values.get(node));
  for (const node of document.querySelectorAll("[data-t-label]")) name(node);
  for (const node of document.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}

export function time(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, String(whole % 60).padStart(2, "0")];
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}
