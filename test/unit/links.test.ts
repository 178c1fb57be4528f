import assert from 'node:assert/strict'
import fs from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { root } from '../support/cli.js'

const pages = [
  ...fs.readdirSync(root).filter((name) => name.endsWith('.md')),
  ...fs
    .readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
]

/** Headings as anchors, the way GitHub makes them. */
function anchorsOf(text: string): ReadonlySet<string> {
  const plain = text.replaceAll(/^```[^]*?^```$/gm, '')
  return new Set(
    [...plain.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{Letter}\p{Number}\s_-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  )
}

/** Links of a page that lead into this repository; what stands in code is no link. */
function linksOf(text: string): readonly string[] {
  const prose = text.replaceAll(/^```[^]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '')
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = '']) => target)
    .filter((target) => !/^[a-z]+:/.test(target))
}

test('links of the manual lead to pages and headings that are there', () => {
  const broken: string[] = []
  for (const page of pages) {
    const text = fs.readFileSync(join(root, page), 'utf8')
    for (const link of linksOf(text)) {
      const [file = '', anchor] = link.split('#')
      const target = file === '' ? join(root, page) : join(root, dirname(page), file)
      if (!fs.existsSync(target)) broken.push(`${page}: ${link}: no ${relative(root, target)}`)
      else if (
        anchor !== undefined &&
        target.endsWith('.md') &&
        !anchorsOf(fs.readFileSync(target, 'utf8')).has(anchor)
      )
        broken.push(`${page}: ${link}: no such heading`)
    }
  }
  assert.deepEqual(broken, [])
})

test('every page of the manual can be reached from README.md', () => {
  const reached = new Set(['README.md'])
  for (const page of reached)
    for (const link of linksOf(fs.readFileSync(join(root, page), 'utf8'))) {
      const target = join(dirname(page), link.split('#')[0] ?? '')
      if (target.endsWith('.md') && fs.existsSync(join(root, target))) reached.add(target)
    }
  assert.deepEqual(
    pages.filter((page) => !reached.has(page) && page.startsWith('docs/')),
    [],
  )
})
