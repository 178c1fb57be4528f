#!/usr/bin/env node
// Opens the page of `vdisk inspect --html` in headless Chromium, light and dark, and takes the pictures that README
// shows:
//
//   npm run build && node scripts/page-screenshots.js DISK [FOLDER]
//
// Fails when the page says anything on the console or asks for anything but itself.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const [disk, folder = fileURLToPath(new URL('../docs/', import.meta.url))] = process.argv.slice(2)
if (disk === undefined) throw new Error('usage: node scripts/page-screenshots.js DISK [FOLDER]')
const scratch = mkdtempSync(join(tmpdir(), 'vdisk-page-'))

function run(cwd, program, ...parameters) {
  const { status, error, stdout, stderr } = spawnSync(program, parameters, { cwd, encoding: 'utf8' })
  if (status !== 0) throw error ?? new Error(`${program}: ${status}\n${stdout}${stderr}`)
  return stderr
}

try {
  const page = join(scratch, 'page.html')
  run(
    dirname(disk),
    process.execPath,
    fileURLToPath(new URL('../bin/run.js', import.meta.url)),
    'inspect',
    basename(disk),
    '--html',
    page,
  )
  // Chromium's own numbers: 0 is dark, 1 is light.
  for (const [look, scheme] of [
    ['light', 1],
    ['dark', 0],
  ]) {
    const network = join(scratch, 'network.json')
    const said = run(
      scratch,
      'chromium',
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--hide-scrollbars',
      '--window-size=1100,1180',
      `--user-data-dir=${join(scratch, look)}`,
      `--blink-settings=preferredColorScheme=${scheme}`,
      '--enable-logging=stderr',
      `--log-net-log=${network}`,
      '--disable-background-networking',
      '--disable-component-update',
      `--screenshot=${resolve(folder, `inspect-page-${look}.png`)}`,
      pathToFileURL(page).href,
    )
    const console = said.split('\n').filter((line) => line.includes(':CONSOLE'))
    if (console.length > 0) throw new Error(`the page said on the console:\n${console.join('\n')}`)
    const asked = [...readFileSync(network, 'utf8').matchAll(/"url":"((?:https?|ftp|wss?):[^"]*)"/g)].map(
      ([, url]) => url,
    )
    // Chromium itself asks its maker for things; a page has no part in that.
    const foreign = asked.filter((url) => !/\.(google|googleapis|gvt1)\.com\//.test(url))
    if (foreign.length > 0) throw new Error(`the page asked for:\n${foreign.join('\n')}`)
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
