"""Backbones: ResNet, timm models, pretrained weights."""
