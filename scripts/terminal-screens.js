// Writes docs/screens: what a terminal of 80 and of 120 columns shows, with and without colour, as SVG pictures. A test
// (test/contract/terminal-screens.test.ts) compares them with what the program prints.
//
//   npm run build && node scripts/terminal-screens.js
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const lines = [
  'vdisk inspect server.vhdx',
  'vdisk partition list server.vhdx',
  'vdisk ls -l server.vhdx@2:/etc',
  'vdisk check server.vhdx',
  'vdisk convrt server.vhdx server.qcow2',
]

const palette = { 31: '#c01c28', 32: '#26a269', 33: '#a2734c', 34: '#12488b', 35: '#a347ba', 36: '#2aa1b3' }
const escapes = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
const [cellWidth, lineHeight] = [8.4, 18]

/** What the commands print on a terminal of that width. */
function shown(columns, colour) {
  const folder = mkdtempSync(join(tmpdir(), 'vdisk-screens-'))
  try {
    cpSync(join(root, 'fixtures/partitioned-disk.vhdx'), join(folder, 'server.vhdx'))
    const program = `'${process.execPath}' '${join(root, 'bin/run.js')}'`
    const commands = lines.map((line) => `printf '%s\\n' '$ ${line}'; ${line.replace('vdisk', program)}`)
    const { stdout, status, error } = spawnSync(
      'script',
      ['-q', '-c', `stty cols ${columns} rows 50; ${commands.join('; ')}`, '/dev/null'],
      {
        cwd: folder,
        encoding: 'utf8',
        env: {
          PATH: process.env.PATH,
          HOME: folder,
          SHELL: '/bin/sh',
          TERM: 'xterm-256color',
          LANG: 'C.UTF-8',
          ...(colour ? {} : { NO_COLOR: '1' }),
        },
      },
    )
    if (error !== undefined || status === null) throw error ?? new Error('script did not run')
    // What progress drew and took away again, and titles, are no part of the picture.
    return stdout
      .replaceAll('\r\n', '\n')
      .replaceAll(/\x1b\[2[23];0t|\x1b\]0;[^\x07]*\x07/g, '')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\r\x1b[K').at(-1))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** A line with ANSI attributes (bold, and colours of the first table) as tspans. */
function spans(line) {
  let style = ''
  const parts = []
  for (const [, codes, text] of line.matchAll(/(?:\x1b\[([\d;]*)m)?([^\x1b]*)/g)) {
    for (const code of codes === undefined ? [] : codes.split(';').map(Number)) {
      if (code === 1) style += ' font-weight="bold"'
      else if (code === 22) style = style.replace(' font-weight="bold"', '')
      else if (palette[code] !== undefined) style += ` fill="${palette[code]}"`
      else if (code === 39) style = style.replace(/ fill="[^"]*"/, '')
      else if (code === 0) style = ''
    }
    if (text !== '') parts.push(`<tspan${style}>${text.replace(/[&<>"]/g, (one) => escapes[one])}</tspan>`)
  }
  return parts.join('')
}

/** The pictures: by the name of the file, its text. */
export function screens() {
  const pictures = {}
  for (const columns of [80, 120])
    for (const colour of [true, false]) {
      const all = shown(columns, colour)
      const [width, height] = [Math.ceil(columns * cellWidth) + 24, all.length * lineHeight + 24]
      const texts = all.map(
        (line, index) => `<text x="12" y="${12 + lineHeight * index + 13}" xml:space="preserve">${spans(line)}</text>`,
      )
      pictures[`terminal-${columns}${colour ? '' : '-plain'}.svg`] = [
        `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">`,
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14" fill="#1e1e1e">',
        ...texts,
        '</g>',
        '</svg>',
        '',
      ].join('\n')
    }
  return pictures
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  mkdirSync(join(root, 'docs/screens'), { recursive: true })
  for (const [name, text] of Object.entries(screens())) writeFileSync(join(root, 'docs/screens', name), text)
}
