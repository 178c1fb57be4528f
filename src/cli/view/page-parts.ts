import { html, Markup } from './html.js'
import { pageStyle } from './page-style.js'
import type { FactRow } from './view.js'

/** What a page may have in its head besides its title and the style of all pages. */
interface PageHead {
  /** A Content-Security-Policy, for pages that no server sends. */
  readonly policy?: string
  readonly style?: string
  readonly script?: string
}

/** The beginning of a page, up to its body. */
export function pageHead(title: string, { policy, style = '', script }: PageHead): Markup {
  const lines = [
    html`<!DOCTYPE html>`,
    html`<html lang="en">`,
    html`<head>`,
    html`<meta charset="utf-8">`,
    policy === undefined
      ? undefined
      : html`<meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}">`,
    html`<meta name="viewport" content="width=device-width, initial-scale=1">`,
    html`<link rel="icon" href="data:,">`,
    html`<title>${title}</title>`,
    html`<style>${new Markup(pageStyle)}${new Markup(style)}</style>`,
    script === undefined ? undefined : html`<script src="${script}" defer></script>`,
    html`</head>`,
  ]
  return new Markup(lines.flatMap((line) => (line === undefined ? [] : [line.text])).join('\n'))
}

export function section(title: string, content: readonly Markup[]): Markup {
  return html`<section><h2>${title}</h2>${content}</section>`
}

/** Labels and values; those without a value are left out. */
export function facts(rows: readonly FactRow[]): Markup {
  return html`<dl>${rows.map(([label, value]) =>
    value === undefined ? html`` : html`<dt>${label}</dt><dd>${value}</dd>`,
  )}</dl>`
}

export function warning(message: string): Markup {
  return html`<div class="issue warning"><b>Warning</b> ${message}</div>`
}

/** An error: what went wrong, and what to do. */
export function problemText({ message, hint }: { readonly message: string; readonly hint?: string }): Markup {
  const lines = (hint ?? '').split('\n').filter((line) => line !== '')
  return html`<div class="issue error"><b>Error</b> ${message}${lines.map((line) => html`<br>${line}`)}</div>`
}
