import { spawnSync } from 'node:child_process'
import type { TestContext } from 'node:test'
import { chromium, type Browser, type Page } from 'playwright-core'
import { skipReason } from './complete.js'
import { isInstalled } from './tools.js'

const program = 'chromium'

/** Why no browser can be used here; undefined when one can. */
export function browserMissing(): string | undefined {
  return isInstalled(program) ? undefined : skipReason(`${program} is not installed`)
}

/** Chromium, until the test ends. */
export async function browser(t: TestContext): Promise<Browser> {
  const path = spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).stdout.trim()
  // Root has no sandbox of its own to give away.
  const started = await chromium.launch({ executablePath: path, args: ['--no-sandbox'], timeout: 0 })
  t.after(() => started.close())
  return started
}

/** What a page does that it must not: scripts that fail, and what its policy refuses. */
export function complaints(page: Page): string[] {
  const found: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) found.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => found.push(String(error)))
  return found
}
