// All words of the page, in English and Chinese, and the language in use.

const WORDS = {
  en: {
    language: "Language",
    draw: "Draw",
    board: "Drawing board",
    drawHelp: "Draw with a mouse or finger. By keyboard: arrows move the pen, space lifts or lowers it.",
    wipe: "Wipe the board",
    images: "Images",
    dropHere: "Drop images here, or paste them.",
    choose: "Choose files",
    photograph: "Take a photo",
    form: "The model knows {kind} images of {width}×{height} pixels; others are brought to that.",
    grey: "grey",
    colour: "colour",
    onBlack: "If yours are digits, they have to be light on dark.",
    result: "Result",
    nothing: "Nothing yet. Drop an image, or draw.",
    nothingToDraw: "Nothing yet. Drop an image.",
    waiting: "Looking …",
    sure: "{percent} % sure",
    notSure: "Not sure.",
    notSureWhy: "Do not rely on this label: it is only the likeliest one, or the image is unlike all that the model was trained on.",
    noThreshold: "This model has no limit below which it would say “not sure”.",
    probabilities: "Probabilities",
    opinions: "What each branch alone says",
    shallow: "Shallow",
    deep: "Deep",
    fused: "Together",
    explain: "Where does it look?",
    explaining: "Covering place after place …",
    speaksFor: "speaks for “{label}”",
    speaksAgainst: "speaks against it",
    strongest: "{who}: the strongest evidence lies in row {row} of {rows}, column {column} of {columns}, {bits} bits",
    drawing: "drawing",
    all: "All images",
    csv: "Download CSV",
    clear: "Clear",
    progress: "{done} of {total} done",
    picture: "Picture",
    name: "Name",
    label: "Label",
    confidence: "Sure",
    verdict: "To rely on?",
    yes: "yes",
    no: "not sure",
    unknown: "no limit",
    show: "Show {name}",
    about: "{classes} classes · {accuracy}model {version}",
    accuracy: "{percent} % right on {n} test images ({low} to {high} %) · ",
    sent: "Images are sent to this server, answered and forgotten: none is kept.",
    stays: "The model runs in this browser: images never leave this machine.",
    checked: "SHA-256 of model.onnx, checked: {sha256}",
    unchecked: "SHA-256 that model.onnx should have: {sha256}. It was not checked, since this page did not come by HTTPS.",
    loading: "Loading the model …",
    key: "This server asks for a key",
    go: "Continue",
    locked: "This server asks for a key, and got none.",
    unlock: "Enter the key",
    unreachable: "The server cannot be reached.",
    changed: "The model file is not the one that was exported: its SHA-256 is another.",
    unable: "This browser cannot run the model: {detail}",
    busy: "The server is busy; try again in a moment.",
    image: "It {detail}.",
  },
  zh: {
    language: "语言",
    draw: "手写",
    board: "画板",
    drawHelp: "用鼠标或手指书写。键盘：方向键移动画笔，空格键抬笔或落笔。",
    wipe: "清空画板",
    images: "图片",
    dropHere: "将图片拖到这里，或直接粘贴。",
    choose: "选择文件",
    photograph: "拍照",
    form: "模型使用 {width}×{height} 像素的{kind}图片；其他尺寸会自动转换。",
    grey: "灰度",
    colour: "彩色",
    onBlack: "如果是数字，应为深色背景上的浅色笔画。",
    result: "结果",
    nothing: "还没有结果。请放入图片或手写。",
    nothingToDraw: "还没有结果。请放入图片。",
    waiting: "识别中……",
    sure: "把握 {percent}%",
    notSure: "不确定。",
    notSureWhy: "请勿依赖此结果：它只是最可能的类别，或者这张图片与训练图片差异很大。",
    noThreshold: "此模型没有设定“不确定”的阈值。",
    probabilities: "概率",
    opinions: "各分支单独的判断",
    shallow: "浅层",
    deep: "深层",
    fused: "融合",
    explain: "它在看哪里？",
    explaining: "正在逐处遮挡……",
    speaksFor: "支持“{label}”",
    speaksAgainst: "反对",
    strongest: "{who}：最强的证据在第 {row} 行（共 {rows} 行）、第 {column} 列（共 {columns} 列），{bits} 比特",
    drawing: "手写",
    all: "全部图片",
    csv: "下载 CSV",
    clear: "清除",
    progress: "已完成 {done}/{total}",
    picture: "图片",
    name: "名称",
    label: "类别",
    confidence: "把握",
    verdict: "可否依赖",
    yes: "可以",
    no: "不确定",
    unknown: "无阈值",
    show: "查看 {name}",
    about: "{classes} 个类别 · {accuracy}模型 {version}",
    accuracy: "{n} 张测试图片中正确率 {percent}%（{low}–{high}%） · ",
    sent: "图片发送到本服务器，识别后即被丢弃，不会保存。",
    stays: "模型在本浏览器中运行：图片不会离开这台设备。",
    checked: "model.onnx 的 SHA-256（已核对）：{sha256}",
    unchecked: "model.onnx 应有的 SHA-256：{sha256}。此页面未通过 HTTPS 打开，因此没有核对。",
    loading: "正在载入模型……",
    key: "此服务器需要密钥",
    go: "继续",
    locked: "此服务器需要密钥，但没有收到。",
    unlock: "输入密钥",
    unreachable: "无法连接服务器。",
    changed: "模型文件与导出时不一致：SHA-256 不同。",
    unable: "此浏览器无法运行模型：{detail}",
    busy: "服务器繁忙，请稍后再试。",
    image: "无法识别：{detail}",
  },
};

let language = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";

export function currentLanguage() {
  return language;
}

/** The words called `key`, with {names} replaced by `values`. */
export function say(key, values = {}) {
  return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => String(values[name]));
}

/** Speak `wanted` from now on: every element that has fixed words gets them anew. */
export function speak(wanted) {
  language = wanted;
  document.documentElement.lang = wanted;
  for (const part of document.querySelectorAll("[data-say]")) part.textContent = say(part.dataset.say);
  for (const part of document.querySelectorAll("[data-name]")) part.setAttribute("aria-label", say(part.dataset.name));
}

/** 0.9973 -> "99.7"; never "100.0" for less than 1. */
export function percent(share) {
  return share < 1 ? Math.min(100 * share, 99.9).toFixed(1) : "100";
}
